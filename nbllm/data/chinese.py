"""Chinese paragraphs for lessons and tests: the names of Unicode's CLDR (languages, places, currencies, units, dates
and numbers, by way of Babel) set into a small grammar of our own. Every paragraph keeps to one scene, so that a model
has something to learn beyond single words. Deterministic: the same seed and the same Babel give the same text.
"""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Callable, Iterator
from datetime import date, time, timedelta

from babel import Locale
from babel.dates import format_date, format_time
from babel.numbers import format_decimal, format_percent
from babel.units import format_unit

PARAGRAPHS = 4000
_SPOKEN = "en fr de es it pt ru ja ko ar hi th vi id tr el nl sv fi pl cs hu da nb he fa ur bn ta sw ms uk ro"
_MONEY = "CNY USD EUR JPY GBP KRW THB CHF SEK CAD AUD NZD SGD INR BRL MXN"
_PLACES = (
    "CN JP KR TH VN MY SG ID IN NP EG KE MA ZA FR DE IT ES PT GR NL BE "
    "CH AT SE NO FI DK IS IE PL CZ HU TR CA US MX BR AR CL PE AU NZ"
)

# Words of the grammar.
_WORDS = {
    "name": "小明 小红 小华 小丽 阿强 李雷 韩梅梅 王芳 张伟 刘洋 陈静 杨光 赵敏 周杰 吴悠 孙晴 林夏 何苗 高远 郭佳",
    "kin": "妈妈 爸爸 爷爷 奶奶 姐姐 哥哥 弟弟 妹妹 叔叔 阿姨 老师 邻居 朋友 同学 同事",
    "food": "米饭 面条 饺子 包子 豆腐 青菜 鸡蛋 牛肉 鱼汤 西瓜 苹果 香蕉 葡萄 橙子 馒头 粥 火锅 月饼 汤圆 烤鸭",
    "drink": "绿茶 红茶 咖啡 牛奶 豆浆 果汁 热水 酸奶",
    "animal": "猫 狗 兔子 小鸟 金鱼 马 羊 牛 鸭子 乌龟 松鼠 蝴蝶",
    "plant": "荷花 菊花 梅花 桃树 柳树 竹子 松树 银杏 桂花 向日葵 兰花 茉莉",
    "weather": "晴天 多云 小雨 大雨 下雪 刮风 有雾 阴天",
    "feel": "高兴 兴奋 安静 放心 感动 自豪 有点累 好奇 满意 平静",
    "subject": "语文 数学 英语 历史 地理 物理 化学 生物 音乐 美术",
    "place": "公园 图书馆 学校 车站 市场 博物馆 河边 山上 海边 医院 书店 饭馆 广场 花园 机场 村子",
    "vehicle": "火车 公交车 地铁 飞机 自行车 轮船 出租车",
    "book": "一本小说 一本诗集 一本字典 一本地图册 一本科普书 一份报纸 一本旧相册",
    "color": "红色 蓝色 绿色 黄色 白色 黑色 紫色 橙色 灰色",
    "season": "春天 夏天 秋天 冬天",
    "part": "清晨 上午 中午 下午 傍晚 晚上",
    "skill": "写字 画画 下棋 游泳 唱歌 弹琴 做饭 跑步 摄影 编程 讲故事 打乒乓球",
}

# What a paragraph is about. {slots} are filled by `_grammar`; a choice is written {甲|乙}.
_SCENES = {
    "travel": (
        "{date}，{name}坐{vehicle}从{territory}去{territory}。",
        "这段路有{length}，一共走了{duration}。",
        "出发前，{name}用{money}换了一些{currency}。",
        "车上有人说{language}，{name}只会用{language}说“你好”和“谢谢”。",
        "路上的天气是{weather}，窗外能看见{plant}和{color}的屋顶。",
        "{name}给{kin}寄了一张明信片，上面写着：“这里的{season}真美。”",
        "到了{part}，{name}在{place}旁边找到了住的地方，心里很{feel}。",
        "导游说，这里的{food}很有名，一份大约{money}。",
    ),
    "market": (
        "{part}，{name}和{kin}一起去市场买{food}。",
        "{food}{weight}要{money}，比上个月{便宜|贵}了{percent}。",
        "{name}想了想，买了{weight}{food}和一杯{drink}。",
        "卖{food}的人笑着说：“今天的{food}很新鲜，再来一点吧！”",
        "他们一共花了{money}，还剩下{money}。",
        "回家的路上，{kin}问：“晚饭吃{food}还是吃{food}？”",
        "{name}回答：“两样都要，再煮一点{food}。”",
    ),
    "school": (
        "{lesson}，{subject}课开始了。",
        "老师在黑板上写了一个数：{number}。",
        "“谁知道这个数的一半是多少？”老师问。",
        "{name}举起手，回答得又快又准，大家都很{feel}。",
        "这次考试，班上有{percent}的同学{subject}得了优秀。",
        "下课以后，{name}和{kin}去{place}练习{skill}。",
        "{name}最喜欢的课是{subject}，因为每一课都像一个故事。",
        "老师说：“学{language}要多听、多说、多读，每天{minutes}就够了。”",
    ),
    "nature": (
        "{season}到了，{place}里的{plant}{开了|长高了|变了颜色}。",
        "一只{animal}从{color}的{叶子|石头|篱笆}后面跑出来。",
        "今天是{weather}，气温{temperature}，{kin}说{要多穿衣服|可以去散步|最好带上雨伞}。",
        "{name}在{place}量了一棵{plant}，它高{height}。",
        "“你看，{animal}在那里！”{name}小声地说。",
        "风轻轻地吹，水面上有{color}的光。",
        "{name}坐在树下读{book}，一直读到{part}。",
    ),
    "home": (
        "{evening}，{name}的{kin}在厨房里做{food}。",
        "桌上放着{drink}和{book}，旁边睡着一只{animal}。",
        "{kin}问{name}：“你今天为什么这么{feel}？”",
        "{name}说：“因为{date}我们就要去{territory}了。”",
        "吃完饭，全家人一起{看照片|听音乐|下棋|聊天}，一直到{night}。",
        "{name}每天练{minutes}{skill}，已经坚持了{days}。",
        "睡觉以前，{kin}讲了一个关于{animal}和{animal}的故事。",
    ),
    "facts": (
        "去{territory}旅行以前，{name}先查了那里的货币和语言。",
        "在中文里，这种货币叫“{currency}”，那种语言叫“{language}”。",
        "写{number}这样的数时，每三位用一个逗号分开。",
        "从{opening}到{evening}，{place}一直开门，{weekday}休息。",
        "{name}查了字典，才知道“{language}”和“{language}”是两种不同的语言。",
        "一{瓶|杯}{drink}大约{volume}，一袋{food}大约{weight}。",
        "图书馆里有{number}本书，其中{percent}是{language}书。",
    ),
}
_SLOT = re.compile(r"\{([^{}]+)\}")


def paragraphs(seed: int = 2026, count: int = PARAGRAPHS) -> Iterator[str]:
    """`count` paragraphs of four to eight sentences (about 100 to 200 characters each)."""
    draw = random.Random(seed)
    grammar = _grammar(draw)
    names = sorted(_SCENES)
    for _ in range(count):
        sentences = _SCENES[draw.choice(names)]
        person, folk = draw.choice(_WORDS["name"].split()), draw.choice(_WORDS["kin"].split())
        kept = [sentences[0], *draw.sample(sentences[1:], draw.randint(3, len(sentences) - 1))]
        yield "".join(_fill(s.replace("{name}", person).replace("{kin}", folk), grammar, draw) for s in kept)


def _fill(sentence: str, grammar: dict[str, Callable[[], str]], draw: random.Random) -> str:
    used: set[str] = set()

    def choose(match: re.Match[str]) -> str:
        slot = match.group(1)
        if slot not in grammar:
            return draw.choice(slot.split("|"))
        word = grammar[slot]()
        for _ in range(8):  # one sentence does not go from a place to the same place
            if word not in used:
                break
            word = grammar[slot]()
        used.add(word)
        return word

    return _SLOT.sub(choose, sentence)


def _grammar(draw: random.Random) -> dict[str, Callable[[], str]]:
    """A function that draws a word for each slot."""
    zh = Locale("zh", script="Hans")
    languages = [zh.languages[c] for c in _SPOKEN.split() if c in zh.languages]
    territories = [zh.territories[c] for c in _PLACES.split() if c in zh.territories]
    currencies = {c: zh.currencies[c] for c in _MONEY.split() if c in zh.currencies}

    def unit(name: str, low: float, high: float, digits: int = 0) -> Callable[[], str]:
        def draw_one() -> str:
            amount = round(draw.uniform(low, high), digits) if digits else draw.randint(int(low), int(high))
            text = str(format_unit(amount, name, locale=zh))
            # some units have no long form of their own, and Babel then writes the unit's name in English
            return text if name not in text else str(format_unit(amount, name, length="short", locale=zh))

        return draw_one

    def clock(first: int, last: int) -> Callable[[], str]:
        minutes = (0, 5, 10, 15, 30, 45)
        return lambda: format_time(time(draw.randint(first, last), draw.choice(minutes)), "ah:mm", locale=zh)

    def day() -> date:
        return date(2020, 1, 1) + timedelta(days=draw.randrange(3650))

    def money() -> str:
        amount = draw.choice((draw.randint(2, 99), draw.randint(100, 5000), round(draw.uniform(1, 60), 1)))
        return f"{format_decimal(amount, locale=zh)}{currencies[draw.choice(sorted(currencies))]}"

    grammar: dict[str, Callable[[], str]] = {
        "language": lambda: draw.choice(languages),
        "territory": lambda: draw.choice(territories),
        "currency": lambda: currencies[draw.choice(sorted(currencies))],
        "money": money,
        "date": lambda: format_date(day(), draw.choice(("long", "full", "M月d日")), locale=zh),
        "weekday": lambda: format_date(day(), "EEEE", locale=zh),
        "opening": clock(7, 10),
        "lesson": clock(8, 15),
        "evening": clock(18, 19),
        "night": clock(20, 22),
        "percent": lambda: format_percent(draw.randint(3, 97) / 100, locale=zh),
        "number": lambda: format_decimal(draw.randint(100, 99999) * 2, locale=zh),
        "length": unit("length-kilometer", 20, 3000),
        "height": unit("length-meter", 1, 30, 1),
        "duration": unit("duration-hour", 2, 30),
        "minutes": unit("duration-minute", 10, 90),
        "days": unit("duration-day", 5, 400),
        "weight": unit("mass-kilogram", 1, 9, 1),
        "volume": unit("volume-milliliter", 150, 900),
        "temperature": unit("temperature-celsius", -5, 36),
    }
    for slot, words in _WORDS.items():
        grammar[slot] = functools.partial(draw.choice, words.split())
    return grammar
