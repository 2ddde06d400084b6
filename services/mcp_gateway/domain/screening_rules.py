"""The rules of the screening: what text aimed at a model looks like.

Each phrase begins to be looked for at literal words, which finding costs next to nothing, and its pattern then reads a
bounded stretch from there: no repetition that can be read in two ways, and no gap without a bound. Patterns see lower
case, spaces for underscores and line ends, and straight apostrophes.
"""

import re

import msgspec

DEFINITION = "definition"
RESULT = "result"

_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz")
_BETWEEN = {code: " " for code in range(128) if chr(code) not in _LETTERS}


class Rule(msgspec.Struct, frozen=True):
    """A pattern, and the words at which it is tried: from `back` characters before to `ahead` behind.

    With `back` 0 the pattern matches from the word on. One of `near` has to stand in that stretch too.
    """

    name: str
    anchors: tuple[str, ...]
    pattern: re.Pattern[str]
    kinds: tuple[str, ...] = (DEFINITION, RESULT)
    near: tuple[str, ...] = ()
    back: int = 0
    ahead: int = 200


_DEFINITIONS = (DEFINITION,)


def _p(pattern: str) -> re.Pattern[str]:
    """Compile a pattern in which `~` is what stands between two words, and `%` up to four words of any kind."""
    return re.compile(pattern.replace("%", r"(?:\w{1,16}~){0,4}?").replace("~", r"[^\w\n]{1,8}"))


_MODELS = (
    r"(?:(?:ai|llm|large language model|language model|assistant|ai model|ai assistant|ai agent|agent|chatbot|claude"
    r"|gpt|chatgpt|copilot|gemini|cursor)s?\b)"
)
_USER = ("user", "human", "anyone", "anybody", "person", "customer", "operator", "owner")
_USERS = r"(?:user|human|anyone|anybody|person|customer|operator|owner)\b"
_TOOLS = ("tool", "function")
_ADDRESS = r"(?:https?://|wss?://|ftp://|webhook|[\w.+-]{1,40}@[\w-]{1,40}\.)"
_DATA = (
    r"(?:contents?|results?|outputs?|data|conversation|files?|history|messages?|responses?|keys?|credentials?|tokens?"
    r"|passwords?|secrets?|everything|code|environment|it|them|copy)"
)
_PLACES = (
    r"(?:\bid (?:rsa|ed25519|dsa|ecdsa)\b|\.ssh\b|\.aws/|\.kube/config|/etc/shadow|/etc/passwd|mcp\.json|desktop config"
    r"|\.netrc|\.git-credentials|/proc/self/environ|seed phrase|login keychain)"
)
_CREDENTIALS = (
    r"(?:environment variables|env vars|credentials|api keys?|access tokens?|passwords|private keys?|ssh keys?"
    r"|session cookies)"
)
_CONVERSATION = (
    r"(?:conversation|chat history|message history|system prompt|chain of thought|previous messages|list of tools"
    r"|hidden instructions|initial prompt)"
)
_ORDERS = r"(?:instruction|prompt|rule|direction|guideline|directive|order|guardrail|polic)"

RULES = (
    Rule(
        "override",
        ("ignore", "disregard", "forget", "do not follow", "don't follow", "stop following"),
        _p(
            r"(?:ignore|disregard|forget|(?:do not|don't|stop) follow(?:ing)?)~"
            r"(?:(?:all|any|every|each|the|my|our|of|and|about|what|that|was|were|have|been|told|in|from|other)~){0,5}"
            r"(?:(?:previous|prior|preceding|above|earlier|original|initial|system|safety|developer|foregoing|your)~%"
            + _ORDERS
            + r"|(?:what~|whatever~|anything~|everything~)?(?:the~)?user(?:'s)?~"
            r"(?:ask|said|say|want|request|instruct|question)"
            + r"|(?:everything|anything)~(?:above|before|previous|prior|you)\b|all~above\b)"
        ),
        near=("instruct", "prompt", "rule", "direct", "guide", "order", "guardrail", "polic", "above", "before", "you",
              "user"),
    ),
    Rule(
        "override",
        ("override", "overrule", "bypass"),
        _p(
            r"(?:override|overrule|bypass)~(?:(?:all|any|every|the|of|and)~){0,3}"
            r"(?:previous|prior|your|system|safety|developer|model|earlier)~%"
            r"(?:instruction|prompt|directive|guideline|guardrail|safeguard|alignment)"
        ),
        near=("instruct", "prompt", "directive", "guideline", "guardrail", "safeguard", "alignment"),
    ),
    Rule(
        "override",
        ("instructions",),
        _p(
            r"instructions~(?:(?:above|before|given)~)?(?:are|were|have been)~(?:now~)?"
            r"(?:void|cancell?ed|obsolete|superseded|revoked|overridden|no longer|replaced by)"
        ),
        near=("are", "were", "been"),
    ),
    Rule(
        "override",
        ("your real", "your new", "your actual", "your true"),
        _p(r"your~\w{3,6}~(?:instructions?|task|goal|objective|orders?|mission|purpose)~(?:is|are|now)\b"),
    ),
    Rule(
        "override",
        ("ignoriere", "ignorez", "ignora", "olvida", "vergiss", "oubliez"),
        re.compile(
            r"\w{6,9}[^\n]{0,16}?(?:vorherig|bisherig|obig|précédent|ci-dessus|anterior|previas|instruc)[^\n]{0,16}?"
            r"(?:anweisung|instruc|consigne|anterior|previas|précédent)"
        ),
        near=("anweisung", "instruc", "consigne"),
    ),
    Rule(
        "override",
        ("忽略", "无视", "無視", "игнорируй"),
        re.compile(r"[^\n]{0,24}?(?:指令|指示|提示|инструкц)"),
    ),
    Rule(
        "hidden_tag",
        ("<important", "<system-reminder", "<system prompt", "<system-prompt", "<hidden ", "<|im start", "<|system",
         "[inst]", "<<sys>>", "<|user|", "<|assistant"),
        re.compile(r"<important[^>\n]{0,40}>|<system[- ](?:reminder|prompt)|<hidden |<\||\[inst\]|<<sys>>"),
    ),
    Rule(
        "hidden_tag",
        ("<system", "<instruction", "<instructions", "<secret", "<hidden", "<critical", "<admin", "<override",
         "<assistant", "<rules", "<mandatory", "[system]", "### instruction", "### instructions", "### system"),
        re.compile(
            r"<(?:system|instructions?|secret|hidden|critical|admin|override|assistant|rules|mandatory)[^>\n]{0,40}>"
            r"|\[system\]|### (?:instruction|system)"
        ),
        _DEFINITIONS,
    ),
    Rule("hidden_tag", ("<!--",), re.compile("<!--"), _DEFINITIONS),
    Rule(
        "secrecy",
        ("do not", "don't", "never", "must not", "should not", "avoid", "refrain from"),
        _p(
            r"(?:do not|don't|never|must not|should not|avoid|refrain from)~(?:ever~|also~)?"
            r"(?:mention~that~you\b|(?:\w{3,8}~(?:or|and|nor)~)?"
            r"(?:tell|mention|inform|notify|reveal|disclose|alert|warn)(?:ing)?~"
            r"(?:(?:this|that|it|these|any|anything|of|about|to|the|your|what|you|did|step|fact|a|instruction|call"
            r"|request|action|part)~){0,6}"
            + _USERS
            + r"(?!~(?:is|are|was|were|will|can|ids?|names?)\b))"
        ),
        near=(*_USER, "that you"),
    ),
    Rule(
        "secrecy",
        ("without",),
        _p(
            r"without~(?:telling|informing|mentioning|alerting|notifying)~"
            r"(?:(?:it|this|that|to|the|about|your)~){0,4}" + _USERS
        ),
        near=_USER,
    ),
    Rule(
        "secrecy",
        ("hide", "conceal", "keep"),
        _p(
            r"(?:hide|conceal|keep)~(?:this|it|that|these|what|your|all)~%(?:from|between)~(?:the~|your~)?"
            r"(?:user|human|us\b|operator)"
        ),
        near=("from", "between"),
    ),
    Rule(
        "secrecy",
        ("user must", "user should", "user may", "user shall", "user can", "user does"),
        _p(
            r"user~(?:must|should|may|shall|can|does)(?:~not|not|n't)~(?:ever~|need~to~)?"
            r"(?:know|notice|learn|find out|(?:be|become)~(?:told|informed|aware|notified))"
        ),
        near=("not", "n't"),
    ),
    Rule(
        "secret_files",
        ("id rsa", "id ed25519", "id ecdsa", ".ssh", ".aws/", ".kube/config", "/etc/shadow", "/etc/passwd", "mcp.json",
         "desktop config", ".netrc", ".git-credentials", "/proc/self/environ", "seed phrase", "login keychain"),
        _p(
            r"\b(?:read|open|cat|load|include|send|pass|provide|extract|fetch|get|collect|attach|paste|supply|upload"
            r"|append|copy|retrieve|print|dump|embed|encode|add|put|forward|contents? (?:of|from)|reading)\b"
            r"[^\n]{0,60}?" + _PLACES
        ),
        back=70,
        ahead=24,
    ),
    Rule(
        "secret_files",
        (".env",),
        re.compile(
            r"\b(?:include|send|pass|provide|attach|paste|upload|append|forward|embed|contents? of)\b"
            r"[^\n]{0,50}?\.env\b"
        ),
        _DEFINITIONS,
        back=60,
        ahead=8,
    ),
    Rule(
        "secrets",
        ("environment variables", "env vars", "credentials", "api key", "api keys", "access token", "access tokens",
         "passwords", "private key", "private keys", "ssh key", "ssh keys", "session cookies"),
        _p(
            r"\b(?:include|pass|send|append|attach|put|insert|forward|paste|upload|embed|leak|exfiltrate|hand over)~"
            r"(?:\w{1,14}~){0,2}(?:all|any|every|contents?|values?|user's|available|known|full|entire|their)~%"
            + _CREDENTIALS
        ),
        back=80,
        ahead=24,
    ),
    Rule(
        "secrets",
        ("environment variables", "env vars", "credentials", "api keys", "access tokens", "passwords", "private keys",
         "ssh keys", "session cookies"),
        _p(
            _CREDENTIALS + r"[^\n]{0,30}?\b(?:and|then)~(?:then~)?"
            r"(?:send|submit|pass|include|post|forward|upload|supply|paste)~(?:it|them|these|those|all)\b"
        ),
        near=("and", "then"),
        ahead=100,
    ),
    Rule(
        "conversation",
        ("conversation", "chat history", "message history", "system prompt", "chain of thought", "previous messages",
         "list of tools", "hidden instructions", "initial prompt"),
        _p(
            r"\b(?:include|insert|pass|put|send|append|provide|repeat|copy|paste|write|fill|submit|attach|forward|reveal"
            r"|print|output|add|share|give)~(?:\w{1,12}~){0,3}?"
            r"(?:full|entire|whole|complete|current|model's|all|your|verbatim)~(?:\w{1,12}~){0,2}?" + _CONVERSATION
        ),
        back=80,
        ahead=24,
    ),
    Rule(
        "exfiltration",
        ("send", "post", "upload", "forward", "transmit", "email", "exfiltrate", "leak", "submit", "copy"),
        _p(
            r"(?:send|post|upload|forward|transmit|email|exfiltrate|leak|submit|copy)~%"
            + _DATA
            + r"~%(?:to|via|at)~(?:\w{1,10}~){0,2}?"
            + _ADDRESS
        ),
        near=("http", "@", "webhook", "ws:", "wss:", "ftp:"),
    ),
    Rule(
        "exfiltration",
        ("always be sent", "always send", "always be forwarded", "always forward", "always be routed"),
        _p(r"always~(?:be~)?(?:sent|send|forward|forwarded|routed)~%(?:to|via|through)~(?:\w{1,10}~){0,2}?" + _ADDRESS),
        near=("http", "@"),
        ahead=120,
    ),
    Rule("exfiltration", ("bcc",), _p(r"bcc~%" + _ADDRESS), near=("@",), ahead=120),
    Rule(
        "image_address",
        ("![",),
        re.compile(
            r"!\[[^\]\n]{0,200}\]\( {0,3}https?://[^)\s]{1,200}?"
            r"[?/=](?:[^)\s]{0,60}?(?:\{|%7b|<|\$|\[)|(?:your|the|user|insert|base64|secret)[ -])"
        ),
        near=("](http", "]( http"),
    ),
    Rule(
        "image_address",
        ("![", "<img"),
        re.compile(r"!\[[^\]\n]{0,200}\]\( {0,3}https?://[^)\s]{1,200}?\?|<img[^>\n]{0,100}?src {0,3}= {0,3}.?https?:"),
        _DEFINITIONS,
        near=("http",),
    ),
    Rule(
        "other_tools",
        ("before", "after", "prior to", "whenever", "when", "each time", "every time", "once"),
        _p(
            r"(?:before|after|prior to|when|whenever|each time|every time|once)~(?:you~)?"
            r"(?:us(?:e|ing)|call(?:ing)?|invok(?:e|ing)|run(?:ning)?|execut(?:e|ing))~(?:the~)?"
            r"(?:any|every|all|each|another|other)~(?:(?:of|the|other|available)~){0,3}(?:tool|function)"
        ),
        _DEFINITIONS,
        near=_TOOLS,
        ahead=100,
    ),
    Rule(
        "other_tools",
        ("before any", "before every", "before all", "before each", "instead of any", "prior to any", "prior to every"),
        _p(
            r"(?:before|instead of|prior to)~(?:any|every|all|each)~(?:(?:of|the|other|available)~){0,3}"
            r"(?:tool|function)"
        ),
        _DEFINITIONS,
        near=_TOOLS,
        ahead=80,
    ),
    Rule(
        "other_tools",
        ("is called", "is invoked", "gets called", "tool is used", "are called"),
        _p(
            r"(?:when|whenever|if|each time|every time)~(?:\w{1,16}~){1,8}?(?:is|are|gets)~"
            r"(?:called|invoked|used)\b[^\n]{0,100}?\b(?:must|always|instead|change|replace|send|bcc|ensure)\b"
        ),
        _DEFINITIONS,
        near=("must", "always", "instead", "change", "replace", "send", "bcc", "ensure"),
        back=80,
        ahead=130,
    ),
    Rule(
        "other_tools",
        ("do not use", "don't use", "never use", "do not call", "never call", "instead of"),
        _p(
            r"(?:do not|don't|never|instead of)~(?:us(?:e|ing)~|call(?:ing)?~)?(?:any~|the~)?"
            r"(?:other|original|official|built.?in)~(?:\w{1,20}~)?(?:tool|function|server)s?\b"
        ),
        _DEFINITIONS,
        near=(*_TOOLS, "server"),
        ahead=100,
    ),
    Rule(
        "other_tools",
        ("supersedes", "supersede", "replaces", "precedence over", "priority over"),
        _p(
            r"(?:supersedes?|replaces|(?:precedence|priority) over)~(?:\w{1,16}~){0,6}?(?:all|any|every|other|another)~"
            r"(?:\w{1,16}~){0,2}?(?:tool|function|server)"
        ),
        _DEFINITIONS,
        near=(*_TOOLS, "server"),
        ahead=120,
    ),
    Rule(
        "other_tools",
        ("all tools", "all other tools", "every tool", "every other tool", "any other tool"),
        _p(r"\b(?:applies|apply|affects?|valid|binding)~(?:to|for)~(?:all|every|any)~(?:other~)?tools?\b"),
        _DEFINITIONS,
        back=30,
        ahead=30,
    ),
    Rule(
        "addressed",
        ("note to", "message to", "message for", "notice to", "instruction to", "instructions to", "instructions for",
         "attention", "note for", "important for", "reminder to"),
        _p(
            r"(?:note|message|notice|instructions?|important|reminder|attention)~"
            r"(?:(?:to|for|all|any|the|every|autonomous)~){0,4}"
            + _MODELS
            + r" {0,3}(?:[:,!\u2013\u2014-]|(?:(?:that|who|are|is) ){0,2}(?:reading|processing))"
        ),
        ahead=100,
    ),
    Rule(
        "addressed",
        ("system:", "from now on"),
        _p(
            r"system: {0,3}(?:you (?:must|are|should|will)|ignore|from now|the assistant)"
            r"|from now on~(?:you~(?:must|will|should|are)|always|the~assistant)"
        ),
        ahead=60,
    ),
    Rule(
        "addressed",
        ("assistant:",),
        _p(r"assistant: {0,3}(?:please )?(?:retrieve|read|send|call|execute|run|ignore|open|fetch|you must)\b"),
        _DEFINITIONS,
        ahead=60,
    ),
    Rule("addressed", ("if you are a", "if you're a"), _p(r"if you(?: are|'re)~an?~" + _MODELS), ahead=60),
    Rule(
        "addressed",
        ("reading this", "processing this", "summarizing this", "summarising this", "analyzing this", "parsing this"),
        _p(_MODELS + r"~(?:(?:that|who|is|are)~){0,2}(?:reading|processing|summari[sz]ing|analyzing|parsing)~this"),
        back=40,
        ahead=24,
    ),
    Rule(
        "addressed",
        ("you are now", "you must now act", "enter developer mode", "system override", "pretend you are",
         "pretend to be"),
        _p(
            r"you are now~(?:(?:in|an?|the|operating|acting|running|as|under)~){0,4}(?:dan\b|unrestricted|jailbroken"
            r"|root\b|admin|evil|debug mode|developer mode|maintenance mode|god mode|no longer|free from)"
            r"|you must now act as|enter developer mode|system override"
            r"|pretend (?:you are|to be)~(?:an?~|the~)?(?:unrestricted|evil|" + _MODELS + ")"
        ),
        ahead=120,
    ),
)  # fmt: skip


class _Triggers:
    """The anchors of a kind by their longest word, and those that have none: most texts hold few of these words."""

    def __init__(self, kind: str) -> None:
        self.by_word: dict[str, list[tuple[Rule, str]]] = {}
        self.always: list[tuple[Rule, str]] = []
        for rule in RULES:
            for anchor in rule.anchors if kind in rule.kinds else ():
                words = _words(anchor) if anchor.isascii() else []
                place = self.by_word.setdefault(max(words, key=len), []) if words else self.always
                place.append((rule, anchor))
        self.words = frozenset(self.by_word)


def _words(low: str) -> list[str]:
    return low.encode("ascii", "replace").decode().translate(_BETWEEN).split()


_TRIGGERS = {kind: _Triggers(kind) for kind in (DEFINITION, RESULT)}


def anchors_in(low: str, kind: str) -> list[tuple[Rule, str]]:
    """Return the rules, and where they begin, whose words a text has. `low` is in lower case."""
    triggers = _TRIGGERS[kind]
    found = [pair for word in triggers.words.intersection(_words(low)) for pair in triggers.by_word[word]]
    return found + triggers.always
