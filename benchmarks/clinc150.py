"""What does the user want, and is it something we do? 150 intents and questions out of scope.

    .venv/bin/python benchmarks/clinc150.py --data FOLDER
    .venv/bin/python benchmarks/clinc150.py --table

FOLDER holds ``clinc150.json`` (``data_full.json`` of https://github.com/clinc/oos-eval; Larson et
al. 2019): 15,000 utterances of 150 intents to learn from, 100 that are out of scope; 3,000 and 100
to validate, 4,500 and 1,000 to test. A GRU of two directions reads the words of an utterance;
nothing was trained before. A word is the sum of its own vector and the mean of its character
n-grams' (Bojanowski et al. 2017), so that words that training never saw are read too; pairs of
words go past the GRU to the output. What is out of scope is a class of its own, and also what no
intent is likely enough for: the threshold is the one that finds most of the validation part's, at a
price of half a point of accuracy there.

Each batch is learned twice, the second time where its vectors are moved to where the loss is worst.

Figures: the share of the 4,500 that are named rightly (out of scope is wrong), and of the 1,000
that are found out of scope. Each run (model, seed) writes a file; those that are there are not made
again.
"""

from __future__ import annotations

import copy
import math
import re
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import msgspec
import runs
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from tidegate.errors import InputError
from tidegate.nn import GRU, LSTM
from tidegate.train.repeatable import repeatable

FILE = "clinc150.json"
WHERE = (
    f"get data_full.json of https://github.com/clinc/oos-eval, call it {FILE}, and give its folder"
)
PARTS = ("train", "val", "test")
OUT = "oos"
RESULTS = runs.RESULTS / "clinc150"
MODELS = {"gru": ("gru", 1), "lstm": ("lstm", 1), "grus": ("gru", 5)}
"""Of what cell, and how many networks whose probabilities are averaged."""
PUBLISHED = {
    "fastText": (89.0, 9.7),
    "SVM": (91.0, 14.5),
    "CNN": (91.2, 18.9),
    "CNN, threshold": (90.9, 30.9),
    "MLP on sentence embeddings": (93.5, 47.4),
    "BERT, threshold": (96.2, 52.3),
}
"""Larson et al. (2019), Full: in-scope accuracy and out-of-scope recall."""


class Settings(msgspec.Struct, frozen=True):
    """How a model is made and trained.

    Parameters
    ----------
    units : int
        Of each direction.
    width, pair_width : int
        Of the vectors of words and n-grams; of pairs of words.
    grams, pairs : int
        Buckets of the n-grams (2 to 5 characters) and of the pairs, by hash.
    dropout, word_dropout : float
        Of what goes to the output, and of inputs' numbers; of whole words, whose n-grams stay.
    smoothing : float
        Of the labels.
    adversity : float
        How far, in all, each table of vectors moves to where the loss is worst: an utterance is
        learned there, too.
    average : float
        Share that the moving average of the weights keeps in a step.
    batch, epochs : int
        Utterances of a batch; passes.
    learning_rate, weight_decay : float
        Of AdamW; the rate falls to zero as a cosine. Vectors do not decay.
    price : float
        In-scope accuracy on validation that the threshold may cost.
    """

    units: int = 128
    width: int = 128
    pair_width: int = 48
    grams: int = 8192
    pairs: int = 16384
    dropout: float = 0.4
    word_dropout: float = 0.15
    smoothing: float = 0.1
    adversity: float = 4.0
    average: float = 0.995
    batch: int = 96
    epochs: int = 15
    learning_rate: float = 2.5e-3
    weight_decay: float = 1e-4
    price: float = 0.005


class IntentRun(runs.Run, frozen=True, kw_only=True):
    """What a model and a seed gave.

    Parameters
    ----------
    settings : Settings
        All of them.
    threshold : float
        Below this probability of the likeliest intent, an utterance is out of scope.
    validation, test : tuple of float
        In-scope accuracy and out-of-scope recall.
    test_plain : tuple of float
        Without the threshold: the out-of-scope class alone.
    """

    settings: Settings
    threshold: float
    validation: tuple[float, float]
    test: tuple[float, float]
    test_plain: tuple[float, float]


@dataclass(frozen=True)
class Utterances:
    """Words and intents.

    Parameters
    ----------
    words : list of list of str
        Of each utterance.
    intents : int64 tensor (utterances,)
        Places among the classes; the last is out of scope.
    """

    words: list[list[str]]
    intents: Tensor


def read_parts(path: Path) -> tuple[dict[str, Utterances], int]:
    """Read the set; return its parts, with what is out of scope, and the number of intents.

    Raises
    ------
    InputError
        ``bad_data``: it is no such file.
    """
    try:
        found = msgspec.json.decode(path.read_bytes(), type=dict[str, list[tuple[str, str]]])
        said = {part: found[part] + found[f"{OUT}_{part}"] for part in PARTS}
    except (msgspec.DecodeError, KeyError) as error:
        raise InputError(
            "bad_data", f"{error!r}", field=str(path), hint="get data_full.json of clinc/oos-eval"
        ) from error
    intents = sorted({intent for _, intent in found["train"]})
    index = {intent: place for place, intent in enumerate([*intents, OUT])}
    return {
        part: Utterances(
            [words(text) for text, _ in pairs],
            torch.tensor([index[intent] for _, intent in pairs]),
        )
        for part, pairs in said.items()
    }, len(intents)


def words(text: str) -> list[str]:
    """Cut a text into words, digits and other signs.

    Examples
    --------
    >>> words("what's $15 in yen?")
    ['what', "'", 's', '$', '1', '5', 'in', 'yen', '?']
    """
    return re.findall(r"[a-z]+|\d|[^\sa-z\d]", text.lower())


def grams(word: str) -> list[str]:
    """Return a word's character n-grams, 2 to 5 long, its ends marked.

    Examples
    --------
    >>> grams("hi")
    ['<h', 'hi', 'i>', '<hi', 'hi>', '<hi>']
    """
    marked = f"<{word}>"
    return [marked[at : at + n] for n in range(2, 6) for at in range(len(marked) - n + 1)]


def bucket(text: str, buckets: int) -> int:
    """Return a text's bucket, the same on every machine."""
    return zlib.crc32(text.encode()) % buckets


class Model(nn.Module):
    """Vectors of words and n-grams, two directions, the largest and the mean of h."""

    def __init__(self, kind: str, known: Sequence[str], classes: int, settings: Settings) -> None:
        super().__init__()
        self._settings = settings
        self._known = {word: place for place, word in enumerate(known, 1)}
        layer = {"gru": GRU, "lstm": LSTM}[kind]
        self.words = nn.Embedding(len(known) + 1, settings.width, padding_idx=0)
        self.grams = nn.EmbeddingBag(settings.grams, settings.width)
        self.layer = layer(settings.width, settings.units, bidirectional=True)
        self.dropout = nn.Dropout(settings.dropout)
        self.out = nn.Linear(4 * settings.units, classes)
        self.pairs = nn.EmbeddingBag(settings.pairs, settings.pair_width)
        self.pairs_out = nn.Linear(settings.pair_width, classes, bias=False)
        for vectors, deviation in ((self.words, 0.3), (self.grams, 0.3), (self.pairs, 0.1)):
            nn.init.normal_(vectors.weight, std=deviation)
        nn.init.zeros_(self.words.weight[0].data)

    def forward(self, utterances: Sequence[list[str]]) -> Tensor:
        """Return logits (utterances, classes)."""
        lengths = torch.tensor([len(each) for each in utterances])
        x = self._read([word for each in utterances for word in each])
        x = nn.utils.rnn.pad_sequence(x.split(lengths.tolist()), batch_first=True)
        y, _ = self.layer(x, lengths=lengths)
        real = (torch.arange(x.shape[1]) < lengths[:, None])[..., None]
        best = y.masked_fill(~real, -2.0).amax(dim=1)  # states lie within -1 and 1
        mean = y.sum(dim=1) / lengths[:, None]  # padding is 0
        logits: Tensor = self.out(self.dropout(torch.cat([best, mean], dim=1)))
        return logits + self.pairs_out(self.dropout(self._read_pairs(utterances)))

    def _read(self, flat: list[str]) -> Tensor:
        """Return a vector a word."""
        settings = self._settings
        own = self.words(torch.tensor([self._known.get(word, 0) for word in flat]))
        if self.training:
            own = own * (torch.rand(len(flat), 1) >= settings.word_dropout)
        distinct = {word: place for place, word in enumerate(dict.fromkeys(flat))}
        parts = _bags(self.grams, [grams(word) for word in distinct], settings.grams)
        x: Tensor = self.dropout(own + parts[[distinct[word] for word in flat]])
        return x

    def _read_pairs(self, utterances: Sequence[list[str]]) -> Tensor:
        marked = [["<", *each, ">"] for each in utterances]
        texts = [[f"{a} {b}" for a, b in pairwise(m)] for m in marked]
        return _bags(self.pairs, texts, self._settings.pairs)


def _bags(vectors: nn.EmbeddingBag, texts: Sequence[Sequence[str]], buckets: int) -> Tensor:
    """Return the mean vector of each list of texts."""
    places = torch.tensor([bucket(text, buckets) for each in texts for text in each])
    ends = torch.tensor([0, *(len(each) for each in texts)]).cumsum(0)
    found: Tensor = vectors(places, ends[:-1])
    return found


def train(
    model: Model,
    part: Utterances,
    settings: Settings,
    said: Callable[[int, float], None],
) -> Model:
    """Train for all epochs; return the moving average of the weights."""
    average = copy.deepcopy(model)
    vectors = {id(bag.weight) for bag in (model.words, model.grams, model.pairs)}
    weights = list(model.parameters())
    decaying = [weight for weight in weights if weight.dim() > 1 and id(weight) not in vectors]
    others = [weight for weight in weights if weight.dim() == 1 or id(weight) in vectors]
    optimizer = torch.optim.AdamW(
        [{"params": decaying}, {"params": others, "weight_decay": 0.0}],
        weight_decay=settings.weight_decay,
    )
    steps, step = settings.epochs * math.ceil(len(part.words) / settings.batch), 0
    for epoch in range(settings.epochs):
        total = 0.0
        for chosen in torch.randperm(len(part.words)).split(settings.batch):
            rate = 0.5 * settings.learning_rate * (1 + math.cos(math.pi * step / steps))
            for group in optimizer.param_groups:
                group["lr"] = rate * min(1.0, (step + 1) / 100)
            batch = Utterances([part.words[place] for place in chosen], part.intents[chosen])
            optimizer.zero_grad()
            loss = learn(model, batch, settings)
            with worsened(model, settings.adversity):
                learn(model, batch, settings)
            nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            step += 1
            kept = min(settings.average, step / (step + 10))
            with torch.no_grad():
                for mean, weight in zip(average.parameters(), weights, strict=True):
                    mean.lerp_(weight, 1 - kept)
            total += loss * len(chosen)
        said(epoch + 1, total / len(part.words))
    return average


def learn(model: Model, batch: Utterances, settings: Settings) -> float:
    """Add the gradients of a batch to what there are; return its loss."""
    loss = cross_entropy(model(batch.words), batch.intents, label_smoothing=settings.smoothing)
    loss.backward()
    return loss.item()


@contextmanager
def worsened(model: Model, far: float) -> Iterator[None]:
    """Move the tables of vectors along their gradients, and back.

    T. Miyato, A. Dai, I. Goodfellow, "Adversarial training methods for semi-supervised text
    classification" (2017), with the tables instead of each utterance's vectors.
    """
    tables = [bag.weight for bag in (model.words, model.grams, model.pairs)]
    before = [table.detach().clone() for table in tables]
    with torch.no_grad():
        for table in tables:
            assert table.grad is not None
            table += far * table.grad / table.grad.norm().clamp_min(1e-12)
    yield
    with torch.no_grad():
        for table, was in zip(tables, before, strict=True):
            table.copy_(was)


@torch.no_grad()
def probabilities(model: Model, part: Utterances, many: int = 256) -> Tensor:
    """Return the probability of each class, (utterances, classes)."""
    model.eval()
    found = [
        model(part.words[at : at + many]).softmax(dim=1) for at in range(0, len(part.words), many)
    ]
    return torch.cat(found)


def figures(found: Tensor, intents: Tensor, threshold: float) -> tuple[float, float]:
    """Return in-scope accuracy and out-of-scope recall.

    Parameters
    ----------
    found : tensor (utterances, intents + 1)
        Probabilities; the last column is out of scope.
    intents : int64 tensor (utterances,)
        The truth.
    threshold : float
        Below this probability of the likeliest intent, an utterance is out of scope.

    Examples
    --------
    >>> found = torch.tensor([[0.7, 0.2, 0.1], [0.4, 0.5, 0.1], [0.3, 0.1, 0.6]])
    >>> figures(found, torch.tensor([0, 2, 2]), 0.0), figures(found, torch.tensor([0, 2, 2]), 0.6)
    ((1.0, 0.5), (1.0, 1.0))
    """
    out = found.shape[1] - 1
    named = found.argmax(dim=1)
    named = named.where(found[:, :out].amax(dim=1) >= threshold, out)
    inside = intents != out
    right = named == intents
    return right[inside].float().mean().item(), right[~inside].float().mean().item()


def choose(found: Tensor, intents: Tensor, price: float) -> float:
    """Return the threshold that finds most out of scope at a price of in-scope accuracy."""
    least = figures(found, intents, 0.0)[0] - price - 1e-9
    tried = [0.0, *found[:, :-1].amax(dim=1).sort().values.tolist()]
    affordable = [at for at in tried if figures(found, intents, at)[0] >= least]
    return max(affordable)


def make(
    kind: str,
    seed: int,
    parts: dict[str, Utterances],
    intents: int,
    settings: Settings,
    said: Callable[[int, float], None],
) -> IntentRun:
    """Train, choose the threshold, and test once."""
    began = time.process_time()
    counts = Counter(word for each in parts["train"].words for word in each)
    known = [word for word, count in counts.items() if count > 1]
    cell, members = MODELS[kind]
    each: list[dict[str, Tensor]] = []
    for member in range(members):
        with repeatable(seed + 1000 * member, threads=1):
            made = Model(cell, known, intents + 1, settings)
            model = train(made, parts["train"], settings, said)
            each.append({part: probabilities(model, parts[part]) for part in ("val", "test")})
    found = {part: torch.stack([one[part] for one in each]).mean(dim=0) for part in each[0]}
    truth = {part: parts[part].intents for part in found}
    threshold = choose(found["val"], truth["val"], settings.price)
    return IntentRun(
        model=kind,
        units=settings.units,
        seed=seed,
        parameters=members * runs.parameters(model),
        parameters_of_layer=members * runs.parameters(model.layer),
        path=model.layer.path(torch.zeros(1, 2, settings.width)),
        settings=settings,
        threshold=threshold,
        validation=figures(found["val"], truth["val"], threshold),
        test=figures(found["test"], truth["test"], threshold),
        test_plain=figures(found["test"], truth["test"], 0.0),
        cpu_seconds=round(time.process_time() - began, 1),
        threads=1,
        place=runs.Place.here(),
    )


def main() -> None:
    """Make the runs that are missing, or print the table."""
    parser = runs.arguments(__doc__, seeds=[0, 1, 2, 3, 4], quick="small models, two epochs")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help=f"with {FILE}")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=["gru"])
    options = parser.parse_args()
    out = runs.folder_of(options, RESULTS)
    if options.table:
        print(table(out))
        return
    parts, intents = read_parts(runs.folder_with(options.data, [FILE], WHERE) / FILE)
    settings = Settings(units=8, width=8, epochs=2) if options.quick else Settings()
    with runs.progress() as bar:
        for model in options.models:
            for seed in options.seeds:
                path = out / f"{model}-{settings.units}-seed{seed}.json"
                title = f"{model} {settings.units}, seed {seed}"
                with runs.watched(bar, title, settings.epochs) as said:
                    its = partial(make, model, seed, parts, intents, settings, said)
                    runs.once(path, its, lambda run: "{:.2%} / {:.2%}".format(*run.test))
    print(table(out))


def table(folder: Path) -> str:
    """Write the runs of a folder as Markdown, under the published figures."""
    groups: dict[tuple[str, int], list[IntentRun]] = {}
    for run in runs.read(folder, IntentRun):
        groups.setdefault((run.model, run.units), []).append(run)

    def both(pairs: list[tuple[float, float]]) -> list[str]:
        return [runs.spread([100 * pair[at] for pair in pairs], 1) for at in (0, 1)]

    rows = [
        [f"{name} (Larson 2019)", f"{accuracy}", f"{recall}", "", "", "", "", "", ""]
        for name, (accuracy, recall) in PUBLISHED.items()
    ]
    rows += [
        [
            f"{_WORDS[model]} of two directions, {units} units, threshold",
            *both([run.test for run in found]),
            *both([run.validation for run in found]),
            " / ".join(both([run.test_plain for run in found])),
            f"{len(found)}",
            f"{sum(run.cpu_seconds for run in found) / len(found):,.0f}",
            found[0].sizes,
        ]
        for (model, units), found in groups.items()
    ]
    header = (
        *(
            "model",
            "in-scope accuracy, %",
            "out-of-scope recall, %",
            "validation accuracy",
            "validation recall",
        ),
        *("without threshold", "seeds", "CPU seconds a seed", "parameters, layer + rest"),
    )
    return runs.markdown(header, rows, words=1)


_WORDS = {"gru": "GRU", "lstm": "LSTM", "grus": "five GRUs, averaged,"}

if __name__ == "__main__":
    runs.script(main)
