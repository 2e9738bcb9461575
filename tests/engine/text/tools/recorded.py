"""What models of many families write when they call tools, and what is meant by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

HERMES = "{% if tools %}<tools></tools><tool_call>{% endif %}"
CODER = "{% if tools %}<tool_call><function=example><parameter=x>{% endif %}"
LLAMA = "{% if tools is not none %}<|python_tag|>{% endif %}"
MISTRAL = "{% if tools %}[AVAILABLE_TOOLS]{{ tools }}[/AVAILABLE_TOOLS]{% endif %}[TOOL_CALLS]"
MISTRAL_ARGS = MISTRAL + "[ARGS]"
GEMMA = "{% if tools %}tool_code{% endif %}"
FUNCTION_GEMMA = "{% for tool in tools %}<start_function_call>{% endfor %}"
GEMMA_4 = '{% if tools %}<|tool_call>call:x{}<tool_call|><|"|>{% endif %}'
DEEPSEEK = "{% if tools %}<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>{% endif %}"
DEEPSEEK_R1 = DEEPSEEK + "```json"
DSML = "{% if tools %}<｜DSML｜function_calls><｜DSML｜invoke name=x>{% endif %}"
MINIMAX = "{% if tools %}<minimax:tool_call><invoke name=x>{% endif %}"
MISTRAL_IDS = MISTRAL + "[CALL_ID][ARGS]"
SEED = "{% if tools %}<seed:tool_call><function=x><parameter=y>{% endif %}"
LFM2 = "{% if tools %}<|tool_list_start|><|tool_list_end|>{% endif %}"
NEMOTRON = "{% if tools %}<TOOLCALL></TOOLCALL>{% endif %}"
APRIEL = "{% if tools %}<tool_calls></tool_calls>{% endif %}"
PHI = "{% if tools %}<|tool|><|/tool|><|tool_call|><|/tool_call|>{% endif %}"
PHI_4 = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}"
    "{% if message['role'] == 'system' and 'tools' in message %}"
    "{{ '<|tool|>' + message['tools'] + '<|/tool|>' }}{% endif %}{% endfor %}"
)
LFM2_5 = "{% if tools %}List of tools: [{% endif %}"
APERTUS = "{% if tools %}<|tools_prefix|>{{ tools }}<|tools_suffix|>{% endif %}{{ messages }}"
DEEPSEEK_PLAIN = "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>{{ messages }}"
GRANITE = "{% if tools %}<|start_of_role|>available_tools<|tool_call|>{% endif %}"
COMMAND = "{% if tools %}<|START_ACTION|><|END_ACTION|>{% endif %}"
KIMI = "{% if tools %}<|tool_calls_section_begin|>{% endif %}"
GLM = "{% if tools %}<tool_call><arg_key><arg_value>{% endif %}"
HARMONY = "{% if tools %}<|channel|><|message|>functions.{% endif %}"
NO_TOOLS = "{{ messages }}"

PARIS: dict[str, Any] = {"city": "Paris"}
TWO = [("weather", PARIS), ("add", {"a": 1, "b": 2.5})]

TOOLS: dict[str, Any] = {
    "weather": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city"],
    },
    "add": {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "number"}}},
    "brave_search": {"type": "object", "properties": {"query": {"type": "string"}}},
    "python": {"type": "object", "properties": {"code": {"type": "string"}}},
    "note": {
        "type": "object",
        "properties": {"text": {"type": "string"}, "tags": {"type": "array"}},
    },
    "mail-box": {
        "type": "object",
        "properties": {"from": {"type": "string"}, "max-size": {"type": "integer"}},
    },
    "light": {
        "type": "object",
        "properties": {"level": {"enum": [0, 1, None]}, "color": {"enum": ["1", "2"]}},
    },
}


@dataclass(frozen=True)
class Recorded:
    """One output: the calls in it, and the text and thoughts beside them."""

    name: str
    template: str
    output: str
    calls: list[tuple[str, Any]]
    text: str = ""
    thoughts: str = ""
    sloppy: bool = False
    """Not how the family writes: no model that is held to its form would."""


_NOTE = 'a "quoted" {brace} </tool_call> [x] € \\ \n end'
_NOTE_JSON = '"a \\"quoted\\" {brace} </tool_call> [x] € \\\\ \\n end"'

RECORDED = [
    Recorded(
        "hermes",
        HERMES,
        '<tool_call>\n{"name": "weather", "arguments": {"city": "Paris"}}\n</tool_call>',
        [("weather", PARIS)],
    ),
    Recorded(
        "hermes, two calls after a text",
        HERMES,
        'Let me look.\n\n<tool_call>\n{"name": "weather", "arguments": {"city": "Paris"}}\n'
        '</tool_call>\n<tool_call>\n{"name": "add", "arguments": {"a": 1, "b": 2.5}}\n</tool_call>',
        TWO,
        "Let me look.",
    ),
    Recorded(
        "hermes, two objects between the same tags",
        HERMES,
        '<tool_call>{"name": "weather", "arguments": {"city": "Paris"}},\n'
        '{"name": "add", "arguments": {"a": 1, "b": 2.5}}</tool_call>',
        TWO,
        sloppy=True,
    ),
    Recorded(
        "hermes, everything awkward inside of a string",
        HERMES,
        f'<tool_call>{{"name": "note", "arguments": {{"text": {_NOTE_JSON}}}}}</tool_call>',
        [("note", {"text": _NOTE})],
    ),
    Recorded(
        "hermes without the end",
        HERMES,
        '<tool_call>\n{"name": "weather", "arguments": {"city": "Paris"}}\n',
        [("weather", PARIS)],
        sloppy=True,
    ),
    Recorded(
        "hermes, arguments as text",
        HERMES,
        '<tool_call>{"name": "weather", "arguments": "{\\"city\\": \\"Paris\\"}"}</tool_call>',
        [("weather", PARIS)],
        sloppy=True,
    ),
    Recorded(
        "hermes, no arguments, then a text",
        HERMES,
        '<tool_call>{"name": "weather"}</tool_call>\nDone.',
        [("weather", {})],
        "Done.",
        sloppy=True,
    ),
    Recorded(
        "hermes after thoughts",
        HERMES + "</think>",
        '<think>\nParis, then.\n</think>\n\n<tool_call>\n{"name": "weather", "arguments": '
        '{"city": "Paris"}}\n</tool_call>',
        [("weather", PARIS)],
        thoughts="Paris, then.",
    ),
    Recorded(
        "coder",
        CODER,
        "I look.\n<tool_call>\n<function=weather>\n<parameter=city>\nParis\n</parameter>\n"
        "<parameter=days>\n3\n</parameter>\n</function>\n</tool_call>",
        [("weather", {"city": "Paris", "days": 3})],
        "I look.",
    ),
    Recorded(
        "coder, text that looks like JSON stays text, several lines",
        CODER,
        "<tool_call>\n<function=note>\n<parameter=text>\n12\n<b>\n</parameter>\n<parameter=tags>\n"
        '["x", 1]\n</parameter>\n</function>\n</tool_call>',
        [("note", {"text": "12\n<b>", "tags": ["x", 1]})],
    ),
    Recorded(
        "coder without the outer tags",
        CODER,
        "<function=weather>\n<parameter=city>\nParis\n</parameter>\n</function>",
        [("weather", PARIS)],
        sloppy=True,
    ),
    Recorded(
        "glm",
        GLM,
        "\n<tool_call>weather\n<arg_key>city</arg_key>\n<arg_value>Paris</arg_value>\n"
        "<arg_key>days</arg_key>\n<arg_value>2</arg_value>\n</tool_call>",
        [("weather", {"city": "Paris", "days": 2})],
    ),
    Recorded(
        "llama",
        LLAMA,
        '{"name": "weather", "parameters": {"city": "Paris"}}',
        [("weather", PARIS)],
    ),
    Recorded(
        "llama with its type",
        LLAMA,
        '\n\n{"type": "function", "name": "weather", "parameters": {"city": "Paris"}}',
        [("weather", PARIS)],
    ),
    Recorded(
        "llama with its type, and another key",
        LLAMA,
        '{"type": "function", "function": "weather", "parameters": {"city": "Paris"}}',
        [("weather", PARIS)],
    ),
    Recorded(
        "llama, two calls",
        LLAMA,
        '{"name": "weather", "parameters": {"city": "Paris"}}; '
        '{"name": "add", "parameters": {"a": 1, "b": 2.5}}',
        TWO,
        sloppy=True,
    ),
    Recorded(
        "llama with its tag",
        LLAMA,
        '<|python_tag|>{"name": "weather", "parameters": {"city": "Paris"}}',
        [("weather", PARIS)],
    ),
    Recorded(
        "llama, a tool that Meta built in",
        LLAMA,
        '<|python_tag|>brave_search.call(query="weather in Paris")',
        [("brave_search", {"query": "weather in Paris"})],
    ),
    Recorded(
        "llama, code",
        LLAMA,
        "<|python_tag|>import math\nprint(math.pi)\n",
        [("python", {"code": "import math\nprint(math.pi)"})],
    ),
    Recorded(
        "mistral",
        MISTRAL,
        '[TOOL_CALLS][{"name": "weather", "arguments": {"city": "Paris"}}, '
        '{"name": "add", "arguments": {"a": 1, "b": 2.5}}]',
        TWO,
    ),
    Recorded(
        "mistral with names in front",
        MISTRAL_ARGS,
        '[TOOL_CALLS]weather[ARGS]{"city": "Paris"}[TOOL_CALLS]add[ARGS]{"a": 1, "b": 2.5}',
        TWO,
    ),
    Recorded(
        "mistral with ids",
        MISTRAL_IDS,
        'I look.[TOOL_CALLS]weather[CALL_ID]a1B2c3D4e[ARGS]{"city": "Paris"}',
        [("weather", PARIS)],
        "I look.",
    ),
    Recorded(
        "mistral's list with ids",
        MISTRAL,
        '[TOOL_CALLS][{"name": "weather", "arguments": {"city": "Paris"}, "id": "VvvODy9mT"}]',
        [("weather", PARIS)],
    ),
    Recorded(
        "gemma",
        GEMMA,
        '```tool_code\nweather(city="Paris")\n```',
        [("weather", PARIS)],
    ),
    Recorded(
        "gemma, a list, and print",
        GEMMA,
        'Sure:\n```tool_code\n[weather(city="Paris"), print(add(a=1, b=2.5))]\n```\n',
        TWO,
        "Sure:",
        sloppy=True,
    ),
    Recorded(
        "gemma, names that Python has not",
        GEMMA,
        '```tool_code\ndefault_api.mail-box(from="""Ada "(x=" B.""")  # "it\'s (x=1)\n```',
        [("mail-box", {"from": 'Ada "(x=" B.'})],
        sloppy=True,
    ),
    Recorded(
        "gemma, several in a line",
        GEMMA,
        '```tool_code\nweather(city="Paris");add(a=1,\\\n b = 2.5)\n```',
        TWO,
        sloppy=True,
    ),
    Recorded(
        "function gemma",
        FUNCTION_GEMMA,
        "<start_function_call>call:weather{city:<escape>Paris<escape>,days:3}<end_function_call>"
        "<start_function_response>",
        [("weather", {"city": "Paris", "days": 3})],
    ),
    Recorded(
        "function gemma, nested",
        FUNCTION_GEMMA,
        "<start_function_call>call:note{tags:[<escape>a,]<escape>,1,{k:true}],text:<escape>{x}: "
        "y<escape>}<end_function_call><start_function_call>call:add{}<end_function_call>",
        [("note", {"tags": ["a,]", 1, {"k": True}], "text": "{x}: y"}), ("add", {})],
        sloppy=True,
    ),
    Recorded(
        "gemma 4",
        GEMMA_4,
        '<|tool_call>call:weather{city:<|"|>Paris<|"|>}<tool_call|>',
        [("weather", PARIS)],
    ),
    Recorded(
        "deepseek",
        DEEPSEEK,
        "I look.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>weather<｜tool▁sep｜>"
        '{"city": "Paris"}<｜tool▁call▁end｜><｜tool▁call▁begin｜>add<｜tool▁sep｜>'
        '{"a": 1, "b": 2.5}<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
        TWO,
        "I look.",
    ),
    Recorded(
        "deepseek r1",
        DEEPSEEK_R1,
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n```json\n"
        '{"city": "Paris"}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>'
        'add\n```json\n{"a": 1, "b": 2.5}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
        TWO,
    ),
    Recorded(
        "deepseek since 3.2",
        DSML,
        "I look.\n\n<｜DSML｜function_calls>\n"
        '<｜DSML｜invoke name="weather">\n'
        '<｜DSML｜parameter name="city" string="true">Paris</｜DSML｜parameter>\n'
        '<｜DSML｜parameter name="days" string="false">3</｜DSML｜parameter>\n</｜DSML｜invoke>\n'
        '<｜DSML｜invoke name="add">\n'
        '<｜DSML｜parameter name="a" string="false">1</｜DSML｜parameter>\n'
        '<｜DSML｜parameter name="b" string="false">2.5</｜DSML｜parameter>\n</｜DSML｜invoke>\n'
        "</｜DSML｜function_calls>",
        [("weather", {"city": "Paris", "days": 3}), ("add", {"a": 1, "b": 2.5})],
        "I look.",
    ),
    Recorded(
        "minimax, choices",
        MINIMAX,
        '<minimax:tool_call>\n<invoke name="light">\n<parameter name="level">null</parameter>\n'
        '<parameter name="color">2</parameter>\n</invoke>\n</minimax:tool_call>',
        [("light", {"level": None, "color": "2"})],
    ),
    Recorded(
        "minimax",
        MINIMAX,
        '<minimax:tool_call>\n<invoke name="note">\n<parameter name="text">12 < 13\n</parameter>\n'
        '<parameter name="tags">["x", 1]</parameter>\n</invoke>\n</minimax:tool_call>',
        [("note", {"text": "12 < 13\n", "tags": ["x", 1]})],
    ),
    Recorded(
        "seed",
        SEED,
        "I look.\n<seed:tool_call>\n<function=weather>\n"
        "<parameter=city>Paris</parameter>\n<parameter=days>3</parameter>\n</function>\n"
        "</seed:tool_call>",
        [("weather", {"city": "Paris", "days": 3})],
        "I look.",
    ),
    Recorded(
        "seed thinks",
        "<seed:think></seed:think>",
        "<seed:think>Hm.</seed:think>Yes.",
        [],
        "Yes.",
        "Hm.",
    ),
    Recorded(
        "lfm2, Python between markers",
        LFM2,
        "<|tool_call_start|>[weather(city='Paris', days=3)]<|tool_call_end|>",
        [("weather", {"city": "Paris", "days": 3})],
    ),
    Recorded(
        "lfm2, names that Python has not",
        LFM2,
        "<|tool_call_start|>[mail-box(from='it\\'s (to=1)', max-size=3), weather(city=\"\\\"(x=\")]"
        "<|tool_call_end|>",
        [("mail-box", {"from": "it's (to=1)", "max-size": 3}), ("weather", {"city": '"(x='})],
    ),
    Recorded(
        "coder, choices",
        CODER,
        "<tool_call>\n<function=light>\n<parameter=level>\n1\n</parameter>\n"
        "<parameter=color>\n1\n</parameter>\n</function>\n</tool_call>",
        [("light", {"level": 1, "color": "1"})],
    ),
    Recorded(
        "nemotron",
        NEMOTRON,
        '<TOOLCALL>[{"name": "weather", "arguments": {"city": "Paris"}}]</TOOLCALL>',
        [("weather", PARIS)],
    ),
    Recorded(
        "apriel",
        APRIEL,
        'I look.\n<tool_calls>[{"name": "weather", "arguments": {"city": "Paris"}, "id": "c"}]'
        "</tool_calls>",
        [("weather", PARIS)],
        "I look.",
        sloppy=True,
    ),
    Recorded(
        "qwen 3, empty thoughts",
        HERMES + "</think>",
        '<think>\n\n</think>\n\n<tool_call>\n{"name": "weather", "arguments": {"city": "Paris"}}\n'
        "</tool_call>",
        [("weather", PARIS)],
    ),
    Recorded("magistral thinks", "[THINK]x[/THINK]", "[THINK]Hm.[/THINK]Yes.", [], "Yes.", "Hm."),
    Recorded(
        "granite thinks",
        "<think></think><response></response>",
        "<think>Hm.</think>\n<response>Yes.</response>",
        [],
        "Yes.",
        "Hm.",
    ),
    Recorded(
        "hunyuan thinks",
        "<think></think><answer></answer>",
        "<think>\nHm.\n</think>\n<answer>\nYes.\n</answer>",
        [],
        "\nYes.\n",
        "Hm.",
    ),
    Recorded(
        "exaone thinks",
        "<thought></thought>",
        "<thought>\nHm.\n</thought>\n\nYes.",
        [],
        "Yes.",
        "Hm.",
    ),
    Recorded(
        "gemma 4 thinks",
        "<|channel>thought\n<channel|>",
        "<|channel>thought\nHm.<channel|>Yes.",
        [],
        "Yes.",
        "Hm.",
    ),
    Recorded(
        "apertus thinks",
        "<|inner_prefix|><|inner_suffix|>",
        "<|inner_prefix|>Hm.<|inner_suffix|>Yes.",
        [],
        "Yes.",
        "Hm.",
    ),
    Recorded(
        "phi",
        PHI,
        '<|tool_call|>[{"name": "weather", "arguments": {"city": "Paris"}}, '
        '{"name": "add", "arguments": {"a": 1, "b": 2.5}}]<|/tool_call|>',
        TWO,
    ),
    Recorded(
        "phi, told in a message",
        PHI_4,
        '<|tool_call|>[{"name": "weather", "arguments": {"city": "Paris"}}]<|/tool_call|>',
        [("weather", PARIS)],
    ),
    Recorded(
        "lfm2 without marks around the tools",
        LFM2_5,
        "<|tool_call_start|>[weather(city='Paris')]<|tool_call_end|>",
        [("weather", PARIS)],
    ),
    Recorded(
        "told in a form that is not known",
        APERTUS,
        '{"name": "weather", "arguments": {"city": "Paris"}}',
        [("weather", PARIS)],
    ),
    Recorded(
        "deepseek, not told of tools by its template",
        DEEPSEEK_PLAIN,
        '{"name": "weather", "arguments": {"city": "Paris"}}',
        [("weather", PARIS)],
    ),
    Recorded(
        "deepseek, not told, in its own form",
        DEEPSEEK_PLAIN,
        "I look.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>weather<｜tool▁sep｜>"
        '{"city": "Paris"}<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
        [("weather", PARIS)],
        "I look.",
        sloppy=True,
    ),
    Recorded(
        "granite",
        GRANITE,
        '<|tool_call|>[{"name": "weather", "arguments": {"city": "Paris"}}]',
        [("weather", PARIS)],
    ),
    Recorded(
        "granite 4",
        HERMES,
        '<tool_call>[{"name": "weather", "arguments": {"city": "Paris"}}]',
        [("weather", PARIS)],
        sloppy=True,
    ),
    Recorded(
        "command",
        COMMAND + "<|END_THINKING|><|START_RESPONSE|>",
        "<|START_THINKING|>Hm.<|END_THINKING|><|START_ACTION|>[\n"
        '    {"tool_call_id": "0", "tool_name": "weather", "parameters": {"city": "Paris"}}\n'
        "]<|END_ACTION|>",
        [("weather", PARIS)],
        thoughts="Hm.",
    ),
    Recorded(
        "kimi",
        KIMI,
        "<|tool_calls_section_begin|><|tool_call_begin|>functions.weather:0"
        '<|tool_call_argument_begin|>{"city": "Paris"}<|tool_call_end|><|tool_call_begin|>'
        'functions.add:1<|tool_call_argument_begin|>{"a": 1, "b": 2.5}<|tool_call_end|>'
        "<|tool_calls_section_end|>",
        TWO,
    ),
    Recorded(
        "harmony",
        HARMONY,
        "<|channel|>analysis<|message|>Need weather.<|end|><|start|>assistant<|channel|>commentary "
        'to=functions.weather <|constrain|>json<|message|>{"city": "Paris"}<|call|>',
        [("weather", PARIS)],
        thoughts="Need weather.",
    ),
    Recorded(
        "harmony, recipient first, without the end",
        HARMONY,
        ' to=functions.weather<|channel|>commentary json<|message|>{"city": "Paris"}',
        [("weather", PARIS)],
        sloppy=True,
    ),
    Recorded(
        "harmony, preamble and answer",
        HARMONY,
        "<|channel|>commentary<|message|>I look. <|end|><|start|>assistant<|channel|>final"
        "<|message|>It is < 5 °C.<|return|>",
        [],
        "I look. It is < 5 °C.",
    ),
    Recorded(
        "generic",
        NO_TOOLS,
        '{"name": "weather", "arguments": {"city": "Paris"}}',
        [("weather", PARIS)],
    ),
    Recorded(
        "generic, a list",
        NO_TOOLS,
        '[{"name": "weather", "arguments": {"city": "Paris"}}, '
        '{"name": "add", "arguments": {"a": 1, "b": 2.5}}]',
        TWO,
    ),
    Recorded(
        "generic in a code block",
        NO_TOOLS,
        '```json\n{"name": "weather", "arguments": {"city": "Paris"}}\n```',
        [("weather", PARIS)],
    ),
]


def _plain(name: str, template: str, output: str) -> Recorded:
    return Recorded(name, template, output, [], output)


MALFORMED = [
    _plain("no JSON", HERMES, "<tool_call>weather in Paris</tool_call>"),
    _plain("broken JSON", HERMES, '<tool_call>{"name": "weather", "arguments": {</tool_call> so'),
    _plain("cut off", HERMES, 'Hm. <tool_call>\n{"name": "weather", "argum'),
    _plain("a comma too many", HERMES, '<tool_call>{"name": "weather",}</tool_call>'),
    _plain("unknown tool", HERMES, '<tool_call>{"name": "rm", "arguments": {}}</tool_call>'),
    _plain("arguments that are no object", HERMES, '<tool_call>{"name": "add", "arguments": [1]}'),
    _plain("an open tag", HERMES, "a < b <tool_cal"),
    _plain("only space", HERMES, "  \n "),
    _plain("coder, no parameter", CODER, "<tool_call><function=weather>Paris</function>"),
    _plain("coder, no end", CODER, "<tool_call><function=weather><parameter=city>Par"),
    _plain("llama, other JSON", LLAMA, '{"city": "Paris", "days": [1, 2]} is it.'),
    _plain("llama, JSON later", LLAMA, 'So: {"name": "weather", "parameters": {}}'),
    _plain("llama, JSON that does not end", LLAMA, '{"name": "weather", "parameters": {'),
    _plain("mistral", MISTRAL, "[TOOL_CALLS]weather is fine"),
    _plain("mistral, wrong list", MISTRAL, '[TOOL_CALLS][{"nam": 1}] x'),
    _plain("gemma, code", GEMMA, "```tool_code\nimport os\n```"),
    _plain("gemma, no literal", GEMMA, "```tool_code\nweather(city=open('x'))\n```"),
    _plain(
        "function gemma",
        FUNCTION_GEMMA,
        "<start_function_call>call:weather{city:}<end_function_call>",
    ),
    _plain("deepseek", DEEPSEEK_R1, "<｜tool▁call▁begin｜>function"),
    _plain("phi", PHI, "<|tool_call|>{} and more"),
    _plain("generic, an answer in JSON", NO_TOOLS, '{"answer": 42}'),
    _plain("generic, a list of numbers", NO_TOOLS, "[1, 2, 3]"),
    _plain("generic, code", NO_TOOLS, '```json\n{"a": 1}\n```'),
    _plain("generic, brackets", NO_TOOLS, "[x] is done"),
    _plain(
        "not a number",
        HERMES,
        '<tool_call>{"name": "add", "arguments": "{\\"a\\": NaN}"}</tool_call>',
    ),
    _plain("no arguments", HERMES, '<tool_call>{"name": "add", "arguments": "one"}</tool_call>'),
    _plain(
        "function gemma, not a number",
        FUNCTION_GEMMA,
        "<start_function_call>call:add{a:Infinity}<end_function_call>",
    ),
    Recorded(
        "coder, not a number",
        CODER,
        "<tool_call><function=add><parameter=a>NaN</parameter>"
        "<parameter=b>1e999</parameter></function></tool_call>",
        [("add", {"a": "NaN", "b": "1e999"})],
    ),
    Recorded(
        "coder, half a character",
        CODER,
        "<tool_call><function=note><parameter=text>é</parameter>"
        '<parameter=tags>["\\ud83d", "ü"]</parameter></function></tool_call>',
        [("note", {"text": "é", "tags": ["\ud83d", "ü"]})],
    ),
    Recorded(
        "gemma, half a character",
        GEMMA,
        '```tool_code\nweather(city="\\ud83d")\n```',
        [("weather", {"city": "\ud83d"})],
    ),
    _plain("harmony forgotten", HARMONY, "Just text, no channel."),
]
