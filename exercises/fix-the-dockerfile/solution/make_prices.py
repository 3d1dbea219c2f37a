"""Writes prices.json out of what things cost us."""
import json
import pathlib

COST = {"mug": 4.0, "poster": 6.0, "shirt": 9.5}

prices = {thing: round(cost * 1.9, 2) for thing, cost in COST.items()}
pathlib.Path("prices.json").write_text(json.dumps(prices) + "\n")
print(f"{len(prices)} prices")
