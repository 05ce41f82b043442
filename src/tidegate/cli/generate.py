"""``tidegate generate``: a language model goes on with a text."""

from __future__ import annotations

import sys
from itertools import islice
from typing import Annotated

import typer

from tidegate.cli.events import BundleArgument
from tidegate.cli.verbs import verb

__all__ = ["EXAMPLES", "NAME", "command"]

NAME = "generate"
EXAMPLES = (
    'Examples:  tidegate generate BUNDLE --prompt "The " --tokens 200  |  '
    'tidegate generate BUNDLE --prompt "The " --temperature 0.7 --top-p 0.9 --seed 1'
)


@verb
def command(
    bundle: BundleArgument,
    prompt: Annotated[str, typer.Option(help="What to go on with.", show_default=False)],
    tokens: Annotated[int, typer.Option(min=0, help="How many tokens to draw.")] = 200,
    temperature: Annotated[
        float, typer.Option(help="Below 1, likely tokens become likelier; 0: only the likeliest.")
    ] = 1.0,
    top_k: Annotated[
        int | None, typer.Option(help="Draw from so many of the likeliest alone.")
    ] = None,
    top_p: Annotated[
        float | None, typer.Option(help="Draw from the likeliest that hold this share together.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="The same seed draws the same text.")
    ] = None,
) -> None:
    """Go on with a text, token by token; each is written as it comes."""
    from tidegate import bundle as bundles
    from tidegate.answers.sampling import Sampling
    from tidegate.engine import generation

    sampling = Sampling(temperature, top_k, top_p)
    loaded = bundles.load(bundle)
    vocabulary = loaded.task.classes
    given = generation.split(prompt, vocabulary)
    drawn = generation.generate(loaded, given, sampling, seed=seed)
    unknown = sorted({*given} - {*vocabulary})
    if unknown:
        typer.echo(f"note: not in the vocabulary: {', '.join(map(repr, unknown))}", err=True)
    sys.stdout.write(prompt)
    for text in generation.joined(islice(drawn, tokens), vocabulary):
        sys.stdout.write(text)
        sys.stdout.flush()
    sys.stdout.write("\n")
