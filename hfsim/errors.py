"""The one error that bad input raises, and its grammar."""


class InputError(ValueError):
    """Input that hfsim refuses: names the argument, what it must be, what it was, and what to do.

    Args:
        argument: the name of the argument, parameter, file or option.
        must: what it must be, as the end of the sentence "must ...".
        was: what it was.
        remedy: what to do about it, a clause without the final stop; optional.
    """

    def __init__(self, argument: str, must: str, was: object, remedy: str = ""):
        self.argument = argument
        text = f"`{argument}` must {must}, but was {was}"
        super().__init__(f"{text}: {remedy}." if remedy else f"{text}.")
