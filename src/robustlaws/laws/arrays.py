"""Types of the numbers that laws compute with."""

import numpy as np

Numbers = float | np.ndarray
