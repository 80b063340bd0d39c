"""The E-model: from delay, loss and codec to a rating factor and a mean opinion score.

The narrowband model is ITU-T G.107 in full (noise, sidetone, quantising, talker echo, listener echo, delay,
equipment). The wideband and fullband models share its delay and loss parts and have scales of their own; a
rating says which scale it is on, and ratings of different scales are never compared. Every function takes
numbers or numpy arrays alike, so a simulation and a single call use the same formula.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from ccp_assess.errors import ModelInputError
from ccp_assess.quality.codecs import Codec, Scale, codec_by_name

FloatArray = npt.NDArray[np.float64]

R_MAX_NARROWBAND = 100.0
RO_WIDEBAND = 129.0
"""Basic signal-to-noise ratio of the wideband scale (ITU-T G.107.1)."""
RO_FULLBAND = 148.0
"""Basic signal-to-noise ratio of the fullband scale (ITU-T G.107.2)."""
_SCALE_DIVISOR: dict[Scale, float] = {"narrowband": 1.0, "wideband": 1.29, "fullband": 1.48}
_LOSS_CEILING: dict[Scale, float] = {"narrowband": 95.0, "wideband": 95.0, "fullband": 132.0}
_MOS_MAX = 4.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Transmission:
    """The parameters of G.107 that a softphone call leaves at their defaults.

    Parameters
    ----------
    slr
        Send loudness rating [dB].
    rlr
        Receive loudness rating [dB].
    stmr
        Sidetone masking rating [dB].
    lstr
        Listener sidetone rating [dB].
    ds
        D-value of the telephone at the send side [unitless].
    wepl
        Weighted echo path loss [dB].
    qdu
        Quantising distortion units (count).
    nc
        Circuit noise referred to 0 dBr [dBm0p].
    nfor
        Noise floor at the receive side [dBmp].
    ps
        Room noise at the send side [dB(A)].
    pr
        Room noise at the receive side [dB(A)].
    advantage
        Advantage factor A [unitless].
    s_t
        Delay sensitivity sT: 1 by default, 0.55 low, 0.4 very low [unitless].
    m_t
        Delay below which no impairment is heard, mT [ms].

    References
    ----------
    .. [1] ITU-T Rec. G.107 (06/2015), Table 2: default values and permitted ranges.
    """

    slr: float = 8.0
    rlr: float = 2.0
    stmr: float = 15.0
    lstr: float = 18.0
    ds: float = 3.0
    wepl: float = 110.0
    qdu: float = 1.0
    nc: float = -70.0
    nfor: float = -64.0
    ps: float = 35.0
    pr: float = 35.0
    advantage: float = 0.0
    s_t: float = 1.0
    m_t: float = 100.0

    @property
    def olr(self) -> float:
        """Overall loudness rating [dB]."""
        return self.slr + self.rlr


DEFAULT_TRANSMISSION = Transmission()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rating:
    """What the E-model says of a connection.

    Parameters
    ----------
    scale
        The scale of ``r_factor``, ``id`` and ``ie_eff``.
    r_factor
        Transmission rating factor on that scale, not clipped [unitless].
    mos_cqe
        Estimated conversational mean opinion score, 1 to 4.5 [MOS-CQE].
    id
        Delay impairment: talker echo + listener echo + pure delay [unitless].
    ie_eff
        Effective equipment impairment: codec and packet loss [unitless].
    idte, idle, idd
        The three parts of ``id`` [unitless].
    ro, is_
        Basic signal-to-noise ratio and simultaneous impairment [unitless].
    codec
        Name of the codec or tandem.
    """

    scale: Scale
    r_factor: float
    mos_cqe: float
    id: float
    ie_eff: float
    idte: float
    idle: float
    idd: float
    ro: float
    is_: float
    codec: str


@overload
def mos_from_r(r_factor: float, scale: Scale = ...) -> float: ...
@overload
def mos_from_r(r_factor: FloatArray, scale: Scale = ...) -> FloatArray: ...
def mos_from_r(r_factor: Any, scale: Scale = "narrowband") -> Any:
    """Estimate the conversational MOS that a rating factor stands for.

    Parameters
    ----------
    r_factor
        Transmission rating factor on the scale given [unitless].
    scale
        A wideband rating is divided by 1.29 and a fullband one by 1.48 before the curve is applied.

    Returns
    -------
    mos_cqe
        Estimated mean opinion score, 1 to 4.5 [MOS-CQE].

    References
    ----------
    .. [1] ITU-T Rec. G.107 (06/2015), Annex B.
    .. [2] ITU-T Rec. G.107.1 and G.107.2 for the scale factors.

    Examples
    --------
    >>> round(mos_from_r(93.2062), 3)  # every parameter at its default
    4.409
    >>> round(mos_from_r(70.0), 2)
    3.6
    """
    r = np.clip(np.asarray(r_factor, dtype=float) / _SCALE_DIVISOR[scale], 0.0, R_MAX_NARROWBAND)
    cubic = 1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6
    # The cubic dips just under 1 between R = 0 and 6.5.
    return _plain(np.clip(cubic, 1.0, _MOS_MAX))


@overload
def pure_delay_impairment(delay_ms: float, *, s_t: float = ..., m_t: float = ...) -> float: ...
@overload
def pure_delay_impairment(delay_ms: FloatArray, *, s_t: float = ..., m_t: float = ...) -> FloatArray: ...
def pure_delay_impairment(delay_ms: Any, *, s_t: float = 1.0, m_t: float = 100.0) -> Any:
    """Compute the impairment by absolute delay alone, *Idd*: what remains when echo is perfectly cancelled.

    Parameters
    ----------
    delay_ms
        One-way mouth-to-ear delay *Ta* [ms].
    s_t
        Delay sensitivity of the conversation [unitless].
    m_t
        Delay below which it is not heard [ms].

    Returns
    -------
    idd
        Impairment; 0 up to ``m_t`` [unitless].

    References
    ----------
    .. [1] ITU-T Rec. G.107 (06/2015), clause 7.4 (Idd with sT and mT).

    Examples
    --------
    >>> [round(pure_delay_impairment(ms), 2) for ms in (100.0, 150.0, 300.0, 800.0)]
    [0.0, 0.16, 14.76, 40.83]
    """
    ta = np.asarray(delay_ms, dtype=float)
    x = np.log2(np.maximum(ta, m_t) / m_t)
    power = 6.0 * s_t  # a well-known program has 6 - sT here, which doubles the value at 150 ms
    inner = (1.0 + x**power) ** (1.0 / power) - 3.0 * (1.0 + (x / 3.0) ** power) ** (1.0 / power) + 2.0
    # NaN (unknown) stays NaN.
    return _plain(np.where(ta <= m_t, 0.0, np.maximum(25.0 * inner, 0.0)) + 0.0 * ta)


def basic_signal_to_noise(transmission: Transmission = DEFAULT_TRANSMISSION) -> float:
    """Compute the basic signal-to-noise ratio *Ro* of the narrowband scale.

    Parameters
    ----------
    transmission
        Loudness, noise and sidetone of the connection.

    Returns
    -------
    ro
        Rating before any impairment [unitless].

    References
    ----------
    .. [1] ITU-T Rec. G.107 (06/2015), clause 7.2.

    Examples
    --------
    >>> round(basic_signal_to_noise(), 2)
    94.77
    """
    return 15.0 - 1.5 * (transmission.slr + _noise_sum(transmission))


@lru_cache(maxsize=256)
def _noise_sum(t: Transmission) -> float:
    """Power sum *No* of circuit noise, room noise at both sides and the noise floor [dBm0p]."""
    nos = t.ps - t.slr - t.ds - 100.0 + 0.004 * (t.ps - t.olr - t.ds - 14.0) ** 2
    pre = t.pr + 10.0 * np.log10(1.0 + 10.0 ** ((10.0 - t.lstr) / 10.0))
    nor = t.rlr - 121.0 + pre + 0.008 * (pre - 35.0) ** 2
    nfo = t.nfor + t.rlr
    return float(10.0 * np.log10(sum(10.0 ** (noise / 10.0) for noise in (t.nc, nos, nor, nfo))))


def simultaneous_impairment(
    transmission: Transmission = DEFAULT_TRANSMISSION, *, echo_delay_ms: Any = 0.0, telr_db: float = 65.0
) -> Any:
    """Compute the impairments that occur together with the voice, *Is*: loudness, sidetone, quantising.

    Parameters
    ----------
    transmission
        Loudness, noise and sidetone of the connection.
    echo_delay_ms
        Mean one-way delay of the echo path *T* [ms].
    telr_db
        Talker echo loudness rating [dB].

    Returns
    -------
    is_
        The impairment; 1.41 with all defaults [unitless].

    References
    ----------
    .. [1] ITU-T Rec. G.107 (06/2015), clause 7.3.

    Examples
    --------
    >>> round(simultaneous_impairment(), 3)
    1.414
    """
    t, ro = transmission, basic_signal_to_noise(transmission)
    xolr = t.olr + 0.2 * (64.0 + _noise_sum(t) - t.rlr)
    iolr = 20.0 * ((1.0 + (xolr / 8.0) ** 8) ** 0.125 - xolr / 8.0)
    q = 37.0 - 15.0 * np.log10(t.qdu)
    g = 1.07 + 0.258 * q + 0.0602 * q**2
    iq = 15.0 * np.log10(1.0 + 10.0 ** ((ro - 100.0) / 15.0 + 46.0 / 8.4 - g / 9.0) + 10.0 ** (46.0 / 30.0 - g / 40.0))
    return _plain(np.asarray(iolr + iq + _sidetone(t, echo_delay_ms, telr_db)))


def _sidetone(t: Transmission, echo_delay_ms: Any, telr_db: float) -> FloatArray:
    """Impairment by non-optimum sidetone, *Ist*."""
    echo = np.exp(-np.asarray(echo_delay_ms, dtype=float) / 4.0) * 10.0 ** (-telr_db / 10.0)
    stmro = -10.0 * np.log10(10.0 ** (-t.stmr / 10.0) + echo)
    ist = (
        12.0 * (1.0 + ((stmro - 13.0) / 6.0) ** 8) ** (1 / 8)
        - 28.0 * (1.0 + ((stmro + 1.0) / 19.4) ** 35) ** (1 / 35)
        - 13.0 * (1.0 + ((stmro - 3.0) / 33.0) ** 13) ** (1 / 13)
        + 29.0
    )
    return np.asarray(ist, dtype=float)


def talker_echo_impairment(
    echo_delay_ms: Any, telr_db: float = 65.0, transmission: Transmission = DEFAULT_TRANSMISSION
) -> Any:
    """Compute the impairment by talker echo, *Idte*.

    Parameters
    ----------
    echo_delay_ms
        Mean one-way delay of the echo path *T* [ms].
    telr_db
        Talker echo loudness rating [dB].
    transmission
        Loudness, noise and sidetone of the connection.

    Returns
    -------
    idte
        The impairment; 0 below 1 ms, where an echo is heard as sidetone [unitless].

    References
    ----------
    .. [1] ITU-T Rec. G.107 (06/2015), clause 7.4.

    Examples
    --------
    >>> round(talker_echo_impairment(150.0), 2)
    2.81
    """
    t = np.asarray(echo_delay_ms, dtype=float)
    ist = _sidetone(transmission, t, telr_db)
    terv = telr_db - 40.0 * np.log10((1.0 + t / 10.0) / (1.0 + t / 150.0)) + 6.0 * np.exp(-0.3 * t**2)
    if transmission.stmr < 9.0:  # loud sidetone masks part of the echo
        terv = terv + ist / 2.0
    re = 80.0 + 2.5 * (terv - 14.0)
    roe = -1.5 * (_noise_sum(transmission) - transmission.rlr)
    half = (roe - re) / 2.0
    idte = (half + np.sqrt(half**2 + 100.0) - 1.0) * (1.0 - np.exp(-t))
    if transmission.stmr > 20.0:  # faint sidetone: both are heard
        idte = np.sqrt(idte**2 + ist**2)
    return _plain(np.where(t < 1.0, 0.0, idte) + 0.0 * t)


def listener_echo_impairment(round_trip_ms: Any, transmission: Transmission = DEFAULT_TRANSMISSION) -> Any:
    """Compute the impairment by listener echo, *Idle*.

    Parameters
    ----------
    round_trip_ms
        Round-trip delay of the closed four-wire loop *Tr* [ms].
    transmission
        Loudness, noise and sidetone of the connection.

    Returns
    -------
    idle
        The impairment; 0.15 with all defaults [unitless].

    References
    ----------
    .. [1] ITU-T Rec. G.107 (06/2015), clause 7.4.
    """
    tr = np.asarray(round_trip_ms, dtype=float)
    rle = 10.5 * (transmission.wepl + 7.0) * (tr + 1.0) ** -0.25
    half = (basic_signal_to_noise(transmission) - rle) / 2.0
    return _plain(half + np.sqrt(half**2 + 169.0))


def effective_equipment_impairment(
    loss_pct: Any, *, ie: float, bpl: float, burst_ratio: Any = 1.0, scale: Scale = "narrowband"
) -> Any:
    """Compute the impairment by codec and packet loss together, *Ie,eff*.

    Parameters
    ----------
    loss_pct
        Packet loss *Ppl*: network loss plus late loss, 0 to 100 [%].
    ie
        Equipment impairment of the codec without loss [unitless].
    bpl
        Packet-loss robustness of the codec [unitless].
    burst_ratio
        *BurstR*: mean burst length over the one expected of random loss; 1 is random [unitless].
    scale
        The ceiling towards which loss drives the impairment is 95 (narrowband, wideband) or 132 (fullband).

    Returns
    -------
    ie_eff
        The impairment [unitless].

    References
    ----------
    .. [1] ITU-T Rec. G.107 (06/2015), clause 7.5 (equation 7-29).

    Examples
    --------
    >>> round(effective_equipment_impairment(1.0, ie=0.0, bpl=4.3), 1)
    17.9
    """
    ppl = np.asarray(loss_pct, dtype=float)
    ceiling = _LOSS_CEILING[scale]
    return _plain(ie + (ceiling - ie) * ppl / (ppl / np.asarray(burst_ratio, dtype=float) + bpl))


def rate(
    delay_ms: float,
    loss_pct: float = 0.0,
    burst_ratio: float = 1.0,
    codec: str | Codec = "none",
    *,
    echo_telr_db: float | None = None,
    transmission: Transmission = DEFAULT_TRANSMISSION,
) -> Rating:
    """Rate a connection by the E-model of its codec's scale.

    Parameters
    ----------
    delay_ms
        One-way mouth-to-ear delay *Ta* [ms].
    loss_pct
        Packet loss, network plus late, 0 to 100 [%].
    burst_ratio
        How bursty the loss is, at least just above 0; 1 is random [unitless].
    codec
        A row of ``reference/codecs.csv``, a tandem such as ``opus+g711``, or a codec of your own.
    echo_telr_db
        Talker echo loudness rating. Without it echo is taken as cancelled: *T* = *Tr* = 0. With it *T* = *Ta*
        and *Tr* = 2 *Ta* [dB].
    transmission
        All other parameters of G.107.

    Returns
    -------
    rating
        Rating factor, MOS and their parts.

    Raises
    ------
    ModelInputError
        If a number is outside what the model is defined for.
    ReferenceFactError
        If the codec is unknown.

    References
    ----------
    .. [1] ITU-T Rec. G.107 (06/2015); G.107.1 (2019); G.107.2.

    Examples
    --------
    >>> rating = rate(0.0)
    >>> round(rating.r_factor, 4), round(rating.mos_cqe, 3)
    (93.2062, 4.409)
    >>> round(rate(300.0, echo_telr_db=65.0).r_factor, 1)
    72.7
    """
    _check(delay_ms, "delay", "ms", 0.0, None)
    _check(loss_pct, "packet loss", "%", 0.0, 100.0)
    _check(burst_ratio, "burst ratio", "", 0.0, None, open_low=True)
    if echo_telr_db is not None:
        _check(echo_telr_db, "talker echo loudness rating", "dB", None, None)
    row = codec_by_name(codec) if isinstance(codec, str) else codec
    echo_ms = 0.0 if echo_telr_db is None else delay_ms
    telr_db = 65.0 if echo_telr_db is None else echo_telr_db
    idte, is_, idle = _echo_impairments(echo_ms, telr_db, transmission)
    idd = float(pure_delay_impairment(delay_ms, s_t=transmission.s_t, m_t=transmission.m_t))
    ie_eff = float(
        effective_equipment_impairment(loss_pct, ie=row.ie, bpl=row.bpl, burst_ratio=burst_ratio, scale=row.scale)
    )
    if row.scale == "narrowband":
        ro = basic_signal_to_noise(transmission)
    else:  # the other two models have neither term yet; their echo is that of G.107
        ro, is_, idle = (RO_WIDEBAND if row.scale == "wideband" else RO_FULLBAND), 0.0, 0.0
    impairment = idte + idle + idd
    r_factor = ro - is_ - impairment - ie_eff + transmission.advantage
    return Rating(
        scale=row.scale,
        r_factor=r_factor,
        mos_cqe=float(mos_from_r(r_factor, row.scale)),
        id=impairment,
        ie_eff=ie_eff,
        idte=idte,
        idle=idle,
        idd=idd,
        ro=ro,
        is_=is_,
        codec=row.name,
    )


@lru_cache(maxsize=256)
def _echo_impairments(echo_ms: float, telr_db: float, transmission: Transmission) -> tuple[float, float, float]:
    """*Idte*, *Is* and *Idle*: the same for all connections whose echo is cancelled."""
    return (
        float(talker_echo_impairment(echo_ms, telr_db, transmission)),
        float(simultaneous_impairment(transmission, echo_delay_ms=echo_ms, telr_db=telr_db)),
        float(listener_echo_impairment(2.0 * echo_ms, transmission)),
    )


def narrowband_r(
    delay_ms: Any,
    loss_pct: Any = 0.0,
    burst_ratio: Any = 1.0,
    codec: str | Codec = "opus+g711",
    transmission: Transmission = DEFAULT_TRANSMISSION,
) -> Any:
    """Rate many connections at once on the narrowband scale, echo cancelled.

    Parameters
    ----------
    delay_ms
        One-way mouth-to-ear delays, any shape [ms].
    loss_pct
        Packet loss, same shape or one number [%].
    burst_ratio
        Burst ratio, same shape or one number [unitless].
    codec
        A narrowband codec or tandem.
    transmission
        All other parameters of G.107.

    Returns
    -------
    r_factor
        Rating factors of the same shape; equal to :func:`rate` for each [unitless].

    Raises
    ------
    ReferenceFactError
        If the codec was rated on another scale.

    Examples
    --------
    >>> [round(r, 1) for r in narrowband_r(np.array([150.0, 300.0]), codec="none").tolist()]
    [93.0, 78.4]
    """
    row = codec_by_name(codec) if isinstance(codec, str) else codec
    _require_narrowband(row)
    constant = (
        basic_signal_to_noise(transmission)
        - float(simultaneous_impairment(transmission))
        - float(listener_echo_impairment(0.0, transmission))
        + transmission.advantage
    )
    idd = pure_delay_impairment(delay_ms, s_t=transmission.s_t, m_t=transmission.m_t)
    ie_eff = effective_equipment_impairment(loss_pct, ie=row.ie, bpl=row.bpl, burst_ratio=burst_ratio)
    return constant - idd - ie_eff


def _require_narrowband(codec: Codec) -> None:
    if codec.scale != "narrowband":
        raise ModelInputError(
            f"codec {codec.name!r} was rated on the {codec.scale} scale; "
            "a call that ends in the telephone network is rated on the narrowband scale"
        )


def _check(
    value: float, name: str, unit: str, low: float | None, high: float | None, *, open_low: bool = False
) -> None:
    if not np.isfinite(value):
        raise ModelInputError(f"the {name} is {value}; give a finite number{f' in {unit}' if unit else ''}")
    too_low = low is not None and (value <= low if open_low else value < low)
    if too_low or (high is not None and value > high):
        bound = f"{'above' if open_low else 'at least'} {low:g}" if too_low else f"at most {high:g}"
        raise ModelInputError(f"the {name} is {value:g}{unit and ' ' + unit}; it must be {bound}")


def _plain(value: FloatArray) -> Any:
    """Give a number back for a number, an array for an array."""
    return float(value) if np.ndim(value) == 0 else value
