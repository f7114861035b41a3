"""Exact streaming metrics: NumPy in, plain numbers out. Every accumulator has update, merge and result."""

from seawall.metrics.approximate_quantiles import ApproximateQuantiles
from seawall.metrics.bootstrap import Band, mean_band
from seawall.metrics.correlation import information_coefficient, pooled_t, rank_information_coefficient
from seawall.metrics.exact_quantiles import ExactQuantiles
from seawall.metrics.grouped import GroupMoments, OutputMoments
from seawall.metrics.persistence import Decay, HorizonDecay, Persistence, RankPersistence
from seawall.metrics.pointwise import Agreement, PointwiseMoments, PointwiseResult
from seawall.metrics.quantiles import quantile_means
from seawall.metrics.ranks import average_ranks
from seawall.metrics.series import SeriesSummary, summarise_series

__all__ = [
    "Agreement",
    "ApproximateQuantiles",
    "Band",
    "Decay",
    "ExactQuantiles",
    "GroupMoments",
    "HorizonDecay",
    "OutputMoments",
    "Persistence",
    "PointwiseMoments",
    "PointwiseResult",
    "RankPersistence",
    "SeriesSummary",
    "average_ranks",
    "information_coefficient",
    "mean_band",
    "pooled_t",
    "quantile_means",
    "rank_information_coefficient",
    "summarise_series",
]
