// Loads Plotly's own widget from the binary trait, once a page, and hands everything on to it.
// Nothing is awaited while the widget is set up: anywidget gives that two seconds, and five megabytes can take longer.

async function plotlyWidget(model) {
  if (!globalThis.nbllmPlotlyWidget) {
    const bytes = model.get("_bundle");
    const url = URL.createObjectURL(new Blob([bytes], { type: "text/javascript" }));
    globalThis.nbllmPlotlyWidget = import(url).finally(() => URL.revokeObjectURL(url));
    globalThis.nbllmPlotlyWidget.catch(() => { delete globalThis.nbllmPlotlyWidget; }); // the next figure tries again
  }
  return (await globalThis.nbllmPlotlyWidget).default();
}

export default () => {
  let loaded;
  return {
    initialize({ model, signal, experimental }) {
      loaded = plotlyWidget(model).then((widget) => {
        widget.initialize({ model, signal, experimental });
        return widget;
      });
      loaded.catch((error) => console.warn("nbllm: Plotly did not load", error));
    },
    async render(context) {
      context.el.classList.add("nbllm-figure");
      const widget = await loaded;
      if (!context.signal?.aborted) return widget.render(context);
    },
  };
};
