"""Adds up a file of orders: one line for each product, and the total."""
import argparse
import csv
import pathlib
import sys
import tomllib

RATES = pathlib.Path(__file__).with_name("rates.toml")


class BadOrder(Exception):
    pass


def read(lines):
    totals = {}
    for number, row in enumerate(csv.DictReader(lines), start=2):
        try:
            amount = int(row["quantity"]) * float(row["price"])
        except (KeyError, TypeError, ValueError):
            raise BadOrder(f"line {number}: this is no order")
        totals[row["product"]] = totals.get(row["product"], 0) + amount
    return totals


def main():
    parser = argparse.ArgumentParser(prog="report", description=__doc__)
    parser.add_argument("--currency", default="EUR", help="a code of rates.toml (EUR)")
    parser.add_argument("file", help="orders as CSV: product,quantity,price; - is standard input")
    options = parser.parse_args()
    try:
        orders = sys.stdin if options.file == "-" else open(options.file, newline="")
        totals = read(orders)
    except (OSError, BadOrder) as problem:
        print(f"report: {problem}", file=sys.stderr)
        sys.exit(2)
    rate = tomllib.loads(RATES.read_text())[options.currency]
    for product, amount in sorted(totals.items()):
        print(f"{product}: {amount * rate:.2f} {options.currency}")
    print(f"total: {sum(totals.values()) * rate:.2f} {options.currency}")


main()
