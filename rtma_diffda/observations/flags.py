"""Quality flags: one bit a test. Marks are added, never overwritten; 0 means that the datum is used."""

from enum import IntFlag

import numpy as np


class Flag(IntFlag):
    """Why a datum is not used."""

    MISSING = 1
    """no value, though its report has a place for it"""
    NO_POSITION = 2
    """the station is in no table, so latitude, longitude or elevation is unknown"""
    RANGE = 4
    """outside the valid range of ``variables.py``"""
    CONSISTENCY = 8
    """contradicts another datum of its report: dew point above temperature, gust below speed"""
    DUPLICATE = 16
    """another datum of the same station and variable is preferred (correction, or nearer the analysis time)"""
    OUTSIDE_REGION = 32
    """not within the grid"""
    OUTSIDE_WINDOW = 64
    """observed outside the window, or received after the cut-off"""
    BLOCKLISTED = 128
    """on the reject list, or not on an accept list that applies"""
    BACKGROUND = 256
    """departs from the background by more than the limit"""
    BUDDY = 512
    """departs from its neighbours by more than the limit"""
    THINNED = 1024
    """left out in favour of a neighbour"""
    WITHHELD = 2048
    """kept from the analysis for verification"""
    NO_ERROR = 4096
    """no observation error is stated for this variable and network"""


UFO_CODES = {
    Flag.MISSING: 10,
    Flag.NO_POSITION: 11,
    Flag.RANGE: 12,
    Flag.CONSISTENCY: 11,
    Flag.DUPLICATE: 16,
    Flag.OUTSIDE_REGION: 13,
    Flag.OUTSIDE_WINDOW: 13,
    Flag.BLOCKLISTED: 14,
    Flag.BACKGROUND: 19,
    Flag.BUDDY: 22,
    Flag.THINNED: 16,
    Flag.WITHHELD: 1,
    Flag.NO_ERROR: 11,
}
"""JEDI ufo's code of each bit, for feedback files; the first bit set (in the order above) decides."""


def names_of(flags: int) -> list[str]:
    """Names of the bits set, in lower case."""
    return [flag.name.lower() for flag in Flag if flags & flag]


def to_ufo(flags: np.ndarray) -> np.ndarray:
    """ufo codes (n,) of additive flags (n,); 0 stays 0."""
    codes = np.zeros(flags.shape, np.int32)
    for flag, code in UFO_CODES.items():
        codes = np.where((codes == 0) & ((flags & flag) != 0), code, codes)
    return codes
