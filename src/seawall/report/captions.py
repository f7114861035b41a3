"""What the page says about itself: one line under each heading, and how to read each chart and table."""

MONEY_LEAD = "What each strategy would have done to one unit of money, with every cost taken off."

EQUITY = (
    "Equity starts at 1.0 on the first decision; orders are filled after the delay below, never at the price they "
    "were decided on. Click “before costs” in the legend to see the same trades without costs: the distance "
    "between the lines is what trading took. Drawdown is the distance below the highest equity so far."
)

STATISTICS = (
    "Sharpe is mean over standard deviation of period returns, annualised, with no riskless rate. Turnover counts "
    "buys plus sells over equity. Costs a year are the mean difference of returns before and after costs, times "
    "the periods of a year. The hit rate is the share of gains among the periods that moved."
)

BESIDE_LEAD = "What the model adds to what is had for less: baselines on the same rows of the same folds."

BESIDE = (
    "Each date gives one difference, on the rows both predict, so that what moves all names on a day cancels; t_hac "
    "allows for overlapping targets. A verdict is at 5 %, one at a time: of twenty tries one is "
    "wrong. A baseline that gives all names of a date the same value has no IC; errors are compared all the same."
)

SEEDS = (
    "Seeds differ by luck alone: initial weights, order of samples, dropout. A gain smaller than the distance between "
    "them is none."
)

ONE_SEED = "One seed proves nothing: set train.seeds to see how much of this is luck."

PREDICTION_LEAD = "Does a higher prediction go with a better outcome, among the names of one date?"

IC_MONTHS = (
    "Rank IC is the correlation, on one date, between the order of the predictions and the order of what "
    "followed: 1 is a perfect order, 0 is chance. Each cell is the mean over the test dates of a month. Blue is "
    "right, orange is wrong, pale is chance; skill shows as blue spread over the years, luck as a few dark cells."
)

IC_BLOCKS = (
    "Rank IC is the correlation, on one date, between the order of the predictions and the order of what "
    "followed: 1 is a perfect order, 0 is chance. Each bar is the mean over one of equally long runs of test "
    "dates. Skill shows as many small bars on one side, luck as a few tall ones."
)

IC_RUNNING = (
    "Daily values added up from the first test date. A steady climb means the model works most of the time; a "
    "flat line means it does not. IC uses the sizes of predictions and outcomes, Rank IC only their order, so "
    "Rank IC is not moved by a few extreme names."
)

IC_TABLE = (
    "ICIR is the mean divided by the standard deviation over dates. Targets of neighbouring dates overlap when "
    "they look several periods ahead, so dates are not independent and the plain t claims too much; t_hac allows "
    "for the overlap and is the one to read. A date with too few names or without variance is undefined: counted, "
    "and left out."
)

IC_MORE = (
    "The spread is the mean target of the highest group less that of the lowest. IC in the top and bottom fifth is "
    "taken among the names with the highest and lowest predictions alone, where a portfolio trades. Bands are 95 %, by "
    "a bootstrap of blocks of dates."
)

IC_DECAY = (
    "IC of predictions made so many dates before the target begins, with its 95 % band. A slow fall means that trading "
    "late, or seldom, costs little."
)

IC_WHOLE = (
    "Monotonicity is the rank correlation of a group’s place with its mean target: 1 is a staircase. The "
    "autocorrelation of ranks says how alike the orders of neighbouring dates are; turnover is the share of "
    "the top group that leaves it. Both decide what trading the order would cost."
)

MONTHS = "Return of each month after costs, in per cent of the equity at its start."

UNTRADED = (
    "What the market did not let through: an order without a price is rejected, one at a price limit waits, one larger "
    "than the allowed share of volume is filled in part."
)

POOLED = (
    "All predictions thrown together. The pooled t treats every prediction as independent, which names of one "
    "date are not."
)

QUANTILES_LEAD = "Each date’s names are sorted by prediction into equal groups. What happened to each group afterwards?"

QUANTILES = (
    "Mean target of each group, averaged over dates, before costs: Q1 holds the lowest predictions, the last "
    "group the highest. A useful model climbs from left to right. Grey dots are single folds: where they scatter "
    "as widely as the bars differ, the order is not reliable."
)

FOLDS_LEAD = "The model is trained again and again on the past, and each time tested only on what came next."

FOLDS = (
    "One row per fold. Train fits the weights, valid chooses when to stop, test is only predicted. A sample whose "
    "target reaches into the next segment is purged, so no segment knows the next one’s outcome. Dates that lose every "
    "sample that way are drawn as purged, those kept clear beyond it as embargo."
)

PATHS_LEAD = (
    "Every choice of test groups is held out once, and a model learns from what lies before and after them, purged on "
    "both sides. The n-th test of each group, put together, is path n: the spread of the paths is luck, and none is a "
    "walk forward."
)

TRAINING_LEAD = "How each fold’s model learned, epoch by epoch."

TRAINING = (
    "Train loss falling while valid loss rises means the model is learning the past by heart; the epoch with the "
    "best valid result is kept (dashed line). The lower panel is the IC on the valid segment."
)

MEMORY_LEAD = "What each unit of work was allowed, what the plan said it would need, and what the meter saw."

UNITS = (
    "Grey is the peak the plan promised before the work began, blue is the highest private memory measured, the "
    "dashed line is the budget. Private memory is what the kernel cannot take back. Blue must end inside grey, "
    "and grey left of the line."
)

TIMELINE = (
    "The whole run, parent and children together. Each unit runs in its own process, so the curve drops when it "
    "ends. The thin dark band is the parent that waits. The container’s own count, page cache included, can be "
    "switched on in the legend: cached file pages are given back whenever memory is asked for."
)

UNITS_TABLE = (
    "The report itself is not in the table: it is written before its own measurement ends. A container peak is "
    "undefined where there was no container to count."
)

DATA_LEAD = "What was read, what was left out and why, and what looked odd."

BREAKS = (
    "A split or a similar event changes the scale of a price, not its value. From the date of a break on, prices "
    "are divided by the factor, and held shares and targets that span it follow. Nothing before the break "
    "changes."
)

JUMPS = (
    "Large moves of a price that may be real or an error. They are listed for a look and left as they are: to "
    "remove a row for the size of a later move would look ahead."
)

CONFIGURATION_LEAD = "Everything that decides the numbers on this page."

REPRODUCE = (
    "With the same panel and versions, models, predictions, metrics and backtest come out the same, byte for "
    "byte, on CPU."
)

IC_HORIZONS = (
    "IC of the predictions with what the prices returned over so many periods, whatever the target was trained for."
    " Neighbouring dates share all but one of these periods; each row's t_hac and band know it, the plain t does not."
)

IC_IN_SAMPLE = (
    "Each model on every row it learnt from, and on the dates after them, by the same rules. A wide gap is a model that"
    " has learnt its rows by heart; what counts is test. Train segments of folds overlap: do not add their rows up."
)
