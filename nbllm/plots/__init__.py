"""Pure functions from numbers to pictures: Plotly figures, and still pictures drawn without a browser."""
