"""The thresholds of the diagnoses, each with its reason.

They are for finding what is clearly wrong, not what could be a little better: a healthy run gets no
finding. The papers are those of `examine`.
"""

EXPLODED = 100.0
"""A gradient's norm. With standardised rows and targets, losses and gradients are of the order 1;
two orders more come of a product of many Jacobians (Pascanu et al. 2013)."""

GROWN = 10.0
"""Times that the vanishing profile grows towards the past, which tells an explosion through time
from a gradient that is large at every lag."""

MATTERS = 0.01
"""Share of the profile's peak, from which on an event still matters: what is smaller drowns in the
gradient of the events that are nearer (Bengio et al. 1994)."""

VANISHES_FROM = 8
"""Events. What is gone sooner has vanished, whatever the sessions' length."""

LEARNED_LITTLE = 0.9
LEARNED_NOTHING = 0.95
"""Training loss over that of the best constant answer."""

SATURATED = 0.9
"""Share of a gate's values at its ends. Karpathy et al. (2016) find trained gates at one end for
much of the time, and that is their work; nearly always is a gate that no gradient passes."""

SWITCHED = 0.05
"""Share of a gate's values at the rarer end, from which on it is a switch and not a constant."""

DEAD = 0.25
"""Share of a layer's units that say the same at every event."""

CLIPPED = 0.9
CLIPPED_BY = 2.0
"""Share of the steps, and the norm over the threshold. Pascanu et al. (2013) set the threshold to
half of the usual norm at least: below, the length of every step is the threshold's alone."""

STEP = 1e-3
STILL = 1e-4
RESTLESS = 0.03
"""Change of a matrix in one step over its norm: what is usual (Karpathy, CS231n notes, "Babysitting
the learning process"), what is too little and too much. Small models learn well with 0.014."""

SETTLED = 3
"""Epochs, from which on a run is judged by how far it came."""

ROSE = 1.5
"""Training loss over the smallest one before: past the best rate, it grows (Smith 2017)."""

FELL = 0.9
"""Training loss over the first epoch's."""

OVERFITTED = 1.1
"""Validation loss over its smallest, at the end: Prechelt's (1998) generalisation loss of 10 %."""

NOTICED = 0.05
"""What the validation loss rose by over the loss of the best constant answer: where both losses are
next to nothing, a tenth of them is no harm."""

FALLS = 0.95
"""Training loss over that of the epoch before."""

UNSCALED = 10.0
"""Mean or deviation of a column; rows should have 0 and 1 (LeCun et al. 1998)."""

TINY = 0.01
"""Deviation of a column that is not constant: too little for weights that begin alike."""

OUTLYING = 1000.0
"""Largest absolute value of a column. A standardised one of a normal distribution has 5."""

SHOWN = 5
"""Columns that are listed."""

LONGER = 4.0
"""A session's events, half of the sessions having more, over the longest lag that matters."""
