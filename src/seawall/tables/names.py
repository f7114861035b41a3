"""Usual names of the columns of outside tables, in the order in which they are taken."""

ENTITY_NAMES = ("entity", "order_book_id", "symbol", "ticker", "instrument", "code", "asset", "id")
TIME_NAMES = ("time", "date", "trade_date", "datetime", "timestamp", "day")
PREDICTION_NAMES = ("prediction", "pred", "score", "y_pred", "yhat", "signal")
RETURN_NAMES = ("y_ret_10d", "forward_return", "future_return", "target", "label", "ret", "y")

WITHOUT = "(none)"
"""What rows, or names, are called that have no value of what they are grouped by."""
