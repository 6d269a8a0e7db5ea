"""Replies of a made-up teacher to the recipes that ship: right by their form, made of the data in the prompt.

`reply` is what `scripted_server` says. No reply depends on anything but its prompt.
"""

import json
import re
from hashlib import blake2b

ASPECTS = {
    "positive": "gorgeous|great|love|excellent|perfect|bargain|easy|soft|sturdy|nice|happy|best|good|well",
    "negative": "terrible|awful|damaged|dented|poor|cheaply|broke|refused|disappoint|worst|bad|overpriced",
}
TOPICS = {
    "color": "appearance", "packaging": "packaging", "shipping": "delivery", "price": "price",
    "seller": "customer service", "size": "fit and size", "quality": "durability", "smell": "smell",
    "battery": "battery", "sound": "sound", "fit": "comfort", "zipper": "performance", "fabric": "material",
    "handle": "ease of use", "instructions": "safety", "delivery": "customer service", "taste": "taste",
    "screen": "appearance", "cable": "performance", "design": "ease of use", "material": "durability",
}  # fmt: skip
USES = (
    "keeps daily life in order", "saves time on busy mornings", "makes long trips more pleasant",
    "protects what is dear to its owner", "brings light into dark corners", "helps with care of the body",
    "gives warmth on cold evenings", "lets people work without pain", "holds small things together",
)  # fmt: skip
WHERE = (
    "in the kitchen",
    "on the road",
    "at a desk",
    "outside in all weather",
    "beside the bed",
    "at parties",
)
WHO = ("families", "students", "people who live alone", "owners of animals", "hobby cooks", "older people")
WORDS = ("gear", "kit", "aids", "goods", "things", "helpers", "tools", "supplies", "stuff", "ware")
KINDS = (
    "household",
    "leisure",
    "daily",
    "outdoor",
    "personal",
    "comfort",
    "travel",
    "evening",
    "pocket",
    "desk",
)


def reply(messages: list[dict[str, str]]) -> str:
    """What the teacher says."""
    task, said = messages[0]["content"], messages[1]["content"]
    data = json.loads(said.removeprefix("<data>\n").removesuffix("\n</data>"))
    if '"score"' in task:
        return json.dumps({"score": 5 if _dice(said, "judge", 20) else 2})
    if "List the aspects" in task:
        return json.dumps({"aspects": _aspects(data["text"])})
    if "Give another name" in task:
        key = json.dumps(data)
        return json.dumps({"other_name": f"{_pick(KINDS, key, 'k')} {_pick(WORDS, key, 'w')} {_sign(key)}"})
    if "The shopper wants" in task:
        return f"The shopper wants something that {_what(said)}."
    if "conversation between" in task:
        return (
            f"Customer: I am looking for a thing that {_what(said)}. Assistant: We have one that does so"
            " for a fair price. Customer: Does it last, and who buys it?"
            f" Assistant: Yes, {_pick(WHO, said, 'x')} like it, and it {_pick(USES, said, 'z')}."
        )
    return f"Such a thing {_what(said)}."


def _what(text: str) -> str:
    use, where, who, more = (
        _pick(USES, text, "use"), _pick(WHERE, text, "where"), _pick(WHO, text, "who"),
        _pick(USES, text, "more"),
    )  # fmt: skip
    return f"{use} {where}, is made for {who} of {_sign(text)}, and {more}"


def _sign(text: str) -> str:
    """A word that no other text has."""
    return (
        "".join(
            "aeiou"[_dice(text, f"v{n}", 5)] + "bdfgklmnprstvz"[_dice(text, f"c{n}", 14)] for n in range(3)
        )
        + "o"
    )


def _aspects(text: str) -> list[dict[str, str]]:
    found: dict[str, str] = {}
    for sentence in re.split(r"(?<=[.!?])\s", text):
        for thing in TOPICS:
            place = re.search(rf"\b{thing}\b", sentence, re.IGNORECASE)
            if place and thing not in {name.lower() for name in found}:
                tone = next(
                    (tone for tone, words in ASPECTS.items() if re.search(words, sentence.lower())), "neutral"
                )
                found[place[0]] = tone
    return [
        {"aspect": aspect, "topic": TOPICS[aspect.lower()], "sentiment": tone}
        for aspect, tone in found.items()
    ]


def _pick(words: tuple[str, ...], text: str, what: str) -> str:
    return words[_dice(text, what, len(words))]


def _dice(text: str, what: str, sides: int) -> int:
    return int.from_bytes(blake2b(f"{what}|{text}".encode(), digest_size=8).digest(), "big") % sides
