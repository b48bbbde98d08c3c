"""The words for yes and no, in parameters and in the options of actions."""

_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def is_yes(value: object) -> bool:
    """Return whether a value is a word for yes, in upper or lower case; True and False are such words too.

    Raises:
        ValueError: it is neither a word for yes nor one for no.
    """
    word = str(value).strip().lower()
    if word not in _WORDS:
        raise ValueError(value)
    return _WORDS[word]
