"""Small BUFR files made with ecCodes for the tests that must run without reference data."""

import numpy as np

import rtma_diffda  # noqa: F401  (pyproj before ecCodes)

SYNOP_TEMPLATE = (307080,)
"""WMO's template for SYNOP, of another kind than ECMWF's of the reference file."""
WITH_WIGOS = (301150, 307080)
"""The same with a WIGOS identifier before it."""


def bufr_message(
    reports: list[dict], *, compressed: bool = False, category: int = 0, template: tuple[int, ...] = SYNOP_TEMPLATE
) -> bytes:
    """One message with one subset a report; keys as ecCodes names them (``#1#…``), absent ones missing."""
    import eccodes

    handle = eccodes.codes_bufr_new_from_samples("BUFR4")
    try:
        header = {"masterTablesVersionNumber": 30, "dataCategory": category, "numberOfSubsets": len(reports),
                  "compressedData": int(compressed)}  # fmt: skip
        for key, value in header.items():
            eccodes.codes_set(handle, key, value)
        eccodes.codes_set_array(handle, "unexpandedDescriptors", template)
        for key in reports[0]:
            _set(eccodes, handle, key, [report[key] for report in reports], compressed=compressed)
        eccodes.codes_set(handle, "pack", 1)
        return eccodes.codes_get_message(handle)
    finally:
        eccodes.codes_release(handle)


def _set(eccodes, handle, key, values, *, compressed):
    if compressed and len(values) > 1:
        eccodes.codes_set_array(handle, f"#1#{key}", np.asarray(values))
        return
    for number, value in enumerate(values, start=1):
        eccodes.codes_set(handle, f"#{number}#{key}", value)


def synop(station: int, **more: float) -> dict:
    """A report of station 06``station`` at noon."""
    report = {
        "blockNumber": 6, "stationNumber": station, "latitude": 55.0 + station / 100, "longitude": 12.0, "year": 2026,
        "month": 1, "day": 1, "hour": 12, "minute": 0, "heightOfStationGroundAboveMeanSeaLevel": 40.0,
        "airTemperature": 280.15, "dewpointTemperature": 275.15, "nonCoordinatePressure": 100000.0,
        "pressureReducedToMeanSeaLevel": 100500.0,
    }  # fmt: skip
    return report | more
