"""The work of a geotag by shapely's STRtree, all positions in bulk calls, on one core.

Run by tests/bench/geotag.rs; shapely comes from PyPI (tests/requirements.txt, installed by tests/run).
"""

import json
import sys
import time

import numpy as np
import shapely

with open(sys.argv[1], encoding="utf-8") as file:
    place = json.load(file)
origin = np.array([113.11, 29.40])
scale = np.array(place["m_per_deg"])


def plane(degrees):
    return (np.asarray(degrees) - origin) * scale


outline = plane(place["lake"])
lake = shapely.Polygon(outline)
shapely.prepare(lake)
shore = shapely.STRtree(shapely.linestrings(np.stack([outline[:-1], outline[1:]], axis=1)))
sectors = shapely.STRtree([shapely.Polygon(plane(ring)) for ring in place["sectors"]])
outfalls = shapely.STRtree(shapely.points(plane(place["outfalls"])))
degrees = np.asarray(place["positions"])

started = time.perf_counter()
points = shapely.points(plane(degrees))
in_lake = shapely.contains(lake, points)
found, _ = sectors.query(points, predicate="intersects")
_, shore_m = shore.query_nearest(points, all_matches=False, return_distance=True)
_, nearest_m = outfalls.query_nearest(points, all_matches=False, return_distance=True)
seconds = time.perf_counter() - started

print(
    json.dumps(
        {
            "seconds": seconds,
            "in_lake": int(in_lake.sum()),
            "with_sector": int(len(np.unique(found))),
            "shore_m": float(shore_m.sum()),
            "nearest_m": float(nearest_m.sum()),
        }
    )
)
