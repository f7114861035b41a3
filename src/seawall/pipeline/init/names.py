"""Words that people give the columns of panels, compared without case, spaces, underscores and brackets."""

TIME_NAMES = (
    *("date", "datetime", "timestamp", "time", "tradedate", "tradingday", "tradingdate", "day", "ts", "dt"),
    *("opentime", "closetime", "candlebegintime", "week", "month", "quarter", "period", "year"),
    *("t", "step", "frame", "tick", "epoch"),
)
ENTITY_NAMES = (
    *("symbol", "ticker", "instrument", "entity", "asset", "stock", "code", "orderbookid", "secid", "securityid"),
    *("permno", "gvkey", "isin", "cusip", "ric", "figi", "tscode", "pair", "coin", "contract", "gaugeid", "comid"),
    *("station", "site", "series", "seriesid", "uniqueid", "item", "itemid", "store", "storeid", "sensor", "sensorid"),
    *("subject", "patient", "clip", "id", "name"),
)
CLOSE_NAMES = ("adjclose", "adjustedclose", "closeadj", "close", "settle", "settlement", "price", "last", "lastprice")
CLOSE_ALSO = ("closeprice", "pxlast", "nav", "vwap", "mid")
ADJUSTED_NAMES = CLOSE_NAMES[:3]
OPEN_NAMES = ("open", "openprice", "pxopen")
HIGH_NAMES = ("high", "highprice", "pxhigh", "max")
LOW_NAMES = ("low", "lowprice", "pxlow", "min")
SIZE_PARTS = ("volum", "turnover", "amount", "trades", "notional", "marketcap", "openinterest")
SIZE_NAMES = ("value", "vol", "qty", "quantity", "count")
TARGET_STARTS = ("target", "label", "yret", "fwd", "forward", "future", "nextday", "next")
ROW_NUMBER_NAMES = ("", "unnamed0", "index", "row", "rownumber", "rownum")


def plain(name: str) -> str:
    """Write a name the way it is compared."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def rank(name: str, known: tuple[str, ...]) -> int | None:
    """Place of a name among known ones; None where it is not one of them."""
    word = plain(name)
    return known.index(word) if word in known else None


def is_size(name: str) -> bool:
    """Tell a column that counts shares, coins, money or trades."""
    word = plain(name)
    return word in SIZE_NAMES or any(part in word for part in SIZE_PARTS)


def is_target(name: str) -> bool:
    """Tell a column whose name says that it lies in the future."""
    word = plain(name)
    return word in ("y",) or word.startswith(TARGET_STARTS)
