"""Summarizes the observations of a weather station, and signs the summary."""

import hashlib
import hmac
import json
from statistics import fmean

import xmltodict


def run(parameters, secrets):
    station, observations = read(parameters["observations"])
    print(f"{station}: {len(observations)} observations")

    unit = parameters.get("unit", "celsius")
    temperatures = [celsius for _, celsius in observations]
    report = {
        "station": station,
        "unit": unit,
        "observations": len(observations),
        "lowest": convert(min(temperatures), unit),
        "highest": convert(max(temperatures), unit),
        "mean": convert(fmean(temperatures), unit),
        "warnings": frost_warnings(observations, parameters.get("frost_below", 0), unit),
    }
    for warning in report["warnings"]:
        print(f"warning: {warning}")
    return {"report": report, "signature": sign(report, secrets["signing_key"])}


def read(text):
    """Returns the name of the station and its (time, degrees Celsius) pairs."""
    # force_list makes a list of a single observation, too.
    document = xmltodict.parse(text, force_list=("observation",))
    station = document["station"]
    observations = [(o["@at"], float(o["@celsius"])) for o in station["observation"]]
    return station["@name"], observations


def frost_warnings(observations, limit, unit):
    symbol = {"celsius": "°C", "fahrenheit": "°F"}[unit]
    return [f"{at}: {convert(celsius, unit)} {symbol}" for at, celsius in observations if celsius < limit]


def convert(celsius, unit):
    return round(celsius if unit == "celsius" else celsius * 9 / 5 + 32, 1)


def sign(report, key):
    """Signs the report's canonical form: sorted members, no spaces, UTF-8."""
    canonical = json.dumps(report, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    # The key is only an argument of a function: it is in no environment, child process or file.
    digest = hmac.new(key.encode(), canonical.encode(), hashlib.sha256).hexdigest()
    return f"hmac-sha256:{digest}"
