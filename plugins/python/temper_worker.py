"""Rewards and hull corrections for Temper, written in Python.

This file is all there is: it needs Python 3.8 and nothing else. Put it beside a program such as this one,

    from temper_worker import Reward, serve

    class Volume(Reward):
        unit = "A^3"

        def score_one(self, crystal):
            return crystal.volume / len(crystal)

    serve(Volume)

try that with `python3 volume.py --try`, and name it in a config:

    [rewards.volume.process]
    command = ["python3", "volume.py"]

It speaks version 1 of the worker protocol (plugin-api/PROTOCOL.md in Temper's sources). `serve` keeps the program's
standard input and output for that; whatever is printed goes to standard error.

Columns are memoryviews, `numpy.asarray(column)` wraps one without a copy, and `.tolist()` makes nested lists.
Units: angstrom, eV.
"""

import array
import difflib
import json
import math
import os
import signal
import struct
import sys
import time
import traceback

__all__ = ["Batch", "Crystal", "Failed", "HullCorrection", "Reward", "refuse_unknown_keys", "serve"]

PROTOCOL = 1


class Failed(Exception):
    """What could not be computed, and why: the user reads the reason, so let it hold the numbers that matter.

    As the outcome of a crystal, returned or raised, it fails that crystal; raised in `score` or `correct` the whole
    batch; raised in `__init__` it says what is wrong with the config, and `advice` what to do about it.
    """

    def __init__(self, reason="no reason given", advice=None):
        super().__init__(reason)
        self.advice = advice


def refuse_unknown_keys(config, known):
    """Raises `Failed` for a key of `config` that is not among `known`, and names the nearest."""
    for key in config:
        if key not in known:
            nearest = ["; the nearest is `%s`" % name for name in difflib.get_close_matches(key, known, n=1)]
            advice = "keys of `config`: %s" % (", ".join(known) or "none")
            raise Failed("config: unknown key `%s`%s" % (key, "".join(nearest)), advice)


# Crystals


class Batch:
    """Crystals to evaluate: `len(batch)`, `batch[i]`, `for crystal in batch`, or all of them at once as columns.

    Columns of atoms hold the atoms of all crystals one behind the other; those of crystal i are `offsets[i]` to
    `offsets[i + 1] - 1`. For n crystals with m atoms in all:

    offsets          n + 1     where the atoms of each crystal begin; the last one is m
    atomic_numbers   m         1 is hydrogen
    fractional       m, 3      fractional coordinates, not necessarily between 0 and 1
    cartesian        m, 3      Cartesian coordinates, angstrom
    lattices         n, 3, 3   lattice vectors as rows, angstrom
    space_groups     n         1 to 230, 0 where none was found; with `symmetry = True`
    wyckoff_letters  m         ASCII codes, "A" follows "z", 0 where none was found; with `symmetry = True`
    energies         n         energy of the cell, eV, NaN where not known; with `energies = True` and in corrections
    """

    def __init__(self, crystals, columns):
        """`columns` maps names to flat memoryviews of the types of the protocol."""
        self._columns = columns
        self._crystals = crystals
        self.offsets = self._flat("offsets", "q", crystals + 1)
        self._bounds = bounds = self.offsets.tolist()
        if bounds[0] != 0 or bounds != sorted(bounds):
            raise ValueError("offsets that do not ascend from 0")
        atoms = bounds[-1]
        self.atomic_numbers = self._flat("atomic_numbers", "B", atoms)
        self._fractional = self._flat("fractional", "d", 3 * atoms)
        self._cartesian = self._flat("cartesian", "d", 3 * atoms)
        self._lattices = self._flat("lattices", "d", 9 * crystals)
        self.fractional = _shaped(self._fractional, (atoms, 3))
        self.cartesian = _shaped(self._cartesian, (atoms, 3))
        self.lattices = _shaped(self._lattices, (crystals, 3, 3))

    @classmethod
    def of(cls, crystals, space_groups=None, wyckoff_letters=None, energies=None):
        """A batch for a test: for each crystal its lattice vectors (rows), atomic numbers and fractional coordinates.

        `wyckoff_letters` is one string of the letters of all atoms.
        """
        offsets, numbers, lattices, fractional, cartesian = [0], [], [], [], []
        for lattice, atomic_numbers, coordinates in crystals:
            numbers.extend(atomic_numbers)
            offsets.append(len(numbers))
            lattices.extend(x for vector in lattice for x in vector)
            for point in coordinates:
                fractional.extend(point)
                cartesian.extend(sum(f * vector[axis] for f, vector in zip(point, lattice)) for axis in range(3))
        columns = {"offsets": ("q", offsets), "atomic_numbers": ("B", numbers), "lattices": ("d", lattices)}
        columns.update(fractional=("d", fractional), cartesian=("d", cartesian))
        if space_groups is not None:
            columns.update(space_groups=("B", space_groups), wyckoff_letters=("B", wyckoff_letters.encode("ascii")))
        if energies is not None:
            columns.update(energies=("d", energies))
        arrays = {name: memoryview(array.array(code, values)) for name, (code, values) in columns.items()}
        return cls(len(offsets) - 1, arrays)

    def __len__(self):
        return self._crystals

    def __iter__(self):
        bounds = self._bounds
        for index in range(self._crystals):
            yield Crystal(self, index, bounds[index], bounds[index + 1])

    def __getitem__(self, index):
        if not -self._crystals <= index < self._crystals:
            raise IndexError("crystal %d of %d" % (index, self._crystals))
        index %= self._crystals
        return Crystal(self, index, self._bounds[index], self._bounds[index + 1])

    @property
    def space_groups(self):
        return self._asked("space_groups", "B", self._crystals, "symmetry")

    @property
    def wyckoff_letters(self):
        return self._asked("wyckoff_letters", "B", self._bounds[-1], "symmetry")

    @property
    def energies(self):
        return self._asked("energies", "d", self._crystals, "energies")

    def _asked(self, name, code, length, attribute):
        if name not in self._columns:
            raise Failed("the batch has no %s; a class asks for them by `%s = True`" % (name, attribute))
        return self._flat(name, code, length)

    def _flat(self, name, code, length):
        column = self._columns.get(name)
        if column is None or column.format != code or len(column) != length:
            found = "none" if column is None else "%d of type %r" % (len(column), column.format)
            raise ValueError("%s: %d of type %r expected, found %s" % (name, length, code, found))
        return column


class Crystal:
    """One crystal of a batch; `len(crystal)` is the number of atoms in the cell."""

    __slots__ = ("_batch", "index", "_start", "_stop")

    def __init__(self, batch, index, start, stop):
        self._batch = batch
        self.index = index
        self._start = start
        self._stop = stop

    def __len__(self):
        return self._stop - self._start

    @property
    def atomic_numbers(self):
        """One per atom; 1 is hydrogen."""
        return self._batch.atomic_numbers[self._start : self._stop]

    @property
    def fractional(self):
        """Fractional coordinates, one row per atom, not necessarily between 0 and 1."""
        return _shaped(self._batch._fractional[3 * self._start : 3 * self._stop], (len(self), 3))

    @property
    def cartesian(self):
        """Cartesian coordinates, one row per atom, angstrom."""
        return _shaped(self._batch._cartesian[3 * self._start : 3 * self._stop], (len(self), 3))

    @property
    def lattice(self):
        """Lattice vectors as rows, angstrom."""
        return _shaped(self._batch._lattices[9 * self.index : 9 * self.index + 9], (3, 3))

    @property
    def volume(self):
        """Volume of the cell, angstrom^3."""
        ax, ay, az, bx, by, bz, cx, cy, cz = self._batch._lattices[9 * self.index : 9 * self.index + 9]
        return abs(ax * (by * cz - bz * cy) + ay * (bz * cx - bx * cz) + az * (bx * cy - by * cx))

    @property
    def space_group(self):
        """1 to 230; None where none was found."""
        return self._batch.space_groups[self.index] or None

    @property
    def wyckoff_letters(self):
        """A string with one letter per atom, "A" after "z"; None where no space group was found."""
        letters = self._batch.wyckoff_letters[self._start : self._stop]
        return letters.tobytes().decode("ascii") if self.space_group else None

    @property
    def energy(self):
        """Energy of the cell, eV; None where it is not known."""
        energy = self._batch.energies[self.index]
        return None if math.isnan(energy) else energy


def _shaped(flat, shape):
    """A flat memoryview as rows. One that is empty stays flat: memoryviews cannot have an axis of length 0."""
    return flat.cast("B").cast(flat.format, shape) if len(flat) else flat


# What an author writes


class _Evaluator:
    """What Temper learns of a reward or correction before it is used, as attributes of the class or of the instance."""

    #: Name (None: the class's), version, SPDX expression of the licence, one sentence (None: the docstring's first).
    name = None
    version = "0"
    licence = ""
    description = None
    #: Unit of the values; "1" for plain numbers.
    unit = "1"
    #: Atomic numbers of the elements that it knows; crystals with others never get here. None: all.
    elements = None
    #: Same crystals, same bits.
    deterministic = True
    #: What the value of a crystal does not depend on: the origin of its cell, how it is turned, the order of its atoms.
    translation_invariant = True
    rotation_invariant = True
    permutation_invariant = True
    #: Least and greatest value; None: open.
    range = (None, None)
    #: What a failure counts as, unless the user says otherwise; None: the worst of the batch.
    worst = None
    #: Whether batches carry space groups and Wyckoff letters, and energies.
    symmetry = False
    energies = False
    #: JSON schema of the config, if there is one.
    config_schema = None

    def __init__(self, config):
        """Made once, before the first batch. `config`: what the user wrote, a dict; this one takes no keys."""
        refuse_unknown_keys(config, ())

    def _describe(self):
        kind = type(self)
        docstring = (kind.__doc__ or "").strip().split("\n")[0]
        elements = self.elements if self.elements is None else sorted(int(number) for number in self.elements)
        interface = {
            "id": self.interface,
            "unit": self.unit,
            "elements": elements,
            "range": [end if end is None or math.isfinite(end) else None for end in self.range],
            "worst": self.worst,
            "scales": self.scales and list(self.scales),
            "config_schema": self.config_schema,
        }
        for key in ("deterministic", "symmetry", "energies"):
            interface[key] = bool(getattr(self, key))
        for change in ("translation", "rotation", "permutation"):
            interface[change + "_invariant"] = bool(getattr(self, change + "_invariant"))
        return {
            "name": self.name or kind.__name__,
            "version": self.version,
            "licence": self.licence,
            "description": docstring if self.description is None else self.description,
            "interfaces": [interface],
        }


class Reward(_Evaluator):
    """One number per crystal, for an objective. Write `score_one`, or `score` to work on whole batches."""

    interface = "reward/1"
    scales = None

    def score(self, batch):
        """One outcome per crystal, in their order: a number, None (abstains, no failure) or `Failed(reason)`.

        NaN and infinity count as failures. An exception fails the whole batch. Empty batches don't get here.
        """
        return _one_by_one(self.score_one, batch)

    def score_one(self, crystal):
        """The outcome of one crystal. An exception fails this crystal alone."""
        raise NotImplementedError("%s has neither `score` nor `score_one`" % type(self).__name__)

    def _evaluate(self, batch):
        return self.score(batch)


class HullCorrection(_Evaluator):
    """What to add to energies, eV per cell. Write `correct_one`, or `correct` to work on whole batches."""

    interface = "hull-correction/1"
    unit = "eV"
    energies = True
    #: Energy references that it takes energies from and to, such as ("PBE", "MP2020").
    scales = None

    def correct(self, batch):
        """One outcome per crystal, as those of `Reward.score`."""
        return _one_by_one(self.correct_one, batch)

    def correct_one(self, crystal):
        """The outcome of one crystal. An exception fails this crystal alone."""
        raise NotImplementedError("%s has neither `correct` nor `correct_one`" % type(self).__name__)

    def _evaluate(self, batch):
        return self.correct(batch)


def _one_by_one(function, batch):
    outcomes = []
    for crystal in batch:
        try:
            outcomes.append(function(crystal))
        except Exception as error:
            outcomes.append(Failed(_reason(error)))
    return outcomes


def _reason(error):
    """What the user reads of an exception: its message, and its type and place if it is no `Failed`."""
    text = str(error)
    if isinstance(error, Failed):
        return text
    place = error.__traceback__
    while place.tb_next is not None:
        place = place.tb_next
    file = os.path.basename(place.tb_frame.f_code.co_filename)
    name = type(error).__name__
    return "%s (%s:%d)" % ("%s: %s" % (name, text) if text else name, file, place.tb_lineno)


# Outcomes

_VALUE, _ABSTAINS, _FAILED = 0, 1, 2


def _outcomes(evaluator, batch):
    """Values, statuses and reasons of a batch."""
    if not len(batch):
        return array.array("d"), b"", []
    outcomes = evaluator._evaluate(batch)
    if outcomes is None:
        raise Failed("it gave None instead of one outcome per crystal")
    outcomes = list(outcomes)
    if len(outcomes) != len(batch):
        raise Failed("it gave %d outcomes for %d crystals" % (len(outcomes), len(batch)))
    try:
        return array.array("d", outcomes), bytes(len(batch)), []
    except Exception:  # not all of them are numbers
        return _sorted_out(outcomes)


def _sorted_out(outcomes):
    values, statuses, reasons = array.array("d", bytes(8 * len(outcomes))), bytearray(len(outcomes)), []
    for row, outcome in enumerate(outcomes):
        if outcome is None:
            statuses[row] = _ABSTAINS
            continue
        if not isinstance(outcome, Failed):
            try:
                values[row] = outcome
                continue
            except Exception:
                outcome = Failed("the outcome is no number: %.100r" % (outcome,))
        statuses[row] = _FAILED
        reasons.append(_reason(outcome))
    longest = max(
        20, min(1000, 8000000 // max(1, len(reasons)))
    )  # characters, so that the header stays below its limit
    return values, statuses, [reason[:longest] for reason in reasons]


# The protocol

_MAGIC = b"TMPR"
_PREFIX = struct.Struct("<4sIQ")
_HEADER_LIMIT = 64 << 20
_TYPES = {"u8": ("B", 1), "i64": ("q", 8), "f64": ("d", 8)}


class _ProtocolError(Exception):
    """The host sent what this worker cannot read."""


class _Channel:
    """Frames from and to the host."""

    def __init__(self, incoming, outgoing):
        """`incoming`: an unbuffered binary file; `outgoing`: a file descriptor."""
        self._incoming = incoming
        self._outgoing = outgoing

    def receive(self):
        """Header and arrays of the next frame; None if the host is done."""
        prefix = self._read(_PREFIX.size)
        if prefix is None:
            return None
        magic, header_length, body_length = _PREFIX.unpack(prefix)
        if magic != _MAGIC or header_length > _HEADER_LIMIT:
            raise _ProtocolError("standard input holds no frame of the worker protocol: %r" % bytes(prefix))
        text = self._read(header_length)
        if text is None:
            return None
        header, layout = _parse(text, body_length)
        arrays = {}
        for name, code, size in layout:
            column = self._read(size)
            if column is None:
                return None
            arrays[name] = memoryview(column).cast(code)
        return header, arrays

    def send(self, header, *arrays):
        """A frame with arrays as (name, type, bytes-like)."""
        body = [memoryview(values).cast("B") for _, _, values in arrays]
        if arrays:
            header["arrays"] = [
                {"name": name, "dtype": dtype, "shape": [len(values)]} for name, dtype, values in arrays
            ]
        # Half of a surrogate pair is legal in a str, but neither in UTF-8 nor for most readers of JSON.
        text = json.dumps(header, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
        prefix = _PREFIX.pack(_MAGIC, len(text), sum(part.nbytes for part in body))
        frame = memoryview(b"".join([prefix, text] + body))
        while len(frame):
            frame = frame[os.write(self._outgoing, frame) :]

    def _read(self, size):
        """A bytearray of `size` bytes; None if the input ends before."""
        try:
            buffer = bytearray(size)
        except (MemoryError, OverflowError):
            raise _ProtocolError("no memory for a frame of %d bytes" % size)
        rest = memoryview(buffer)
        while len(rest):
            count = self._incoming.readinto(rest)
            if not count:
                return None
            rest = rest[count:]
        return buffer


def _parse(text, body_length):
    """A header, and name, code and size in bytes of each of its arrays."""
    try:
        header = json.loads(text.decode("utf-8"))
        layout = []
        for entry in header.get("arrays", ()):
            code, size = _TYPES[entry["dtype"]]
            for length in entry["shape"]:
                size *= _count(length)
            layout.append((str(entry["name"]), code, size))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _ProtocolError("a frame's header cannot be read: %s: %s" % (type(error).__name__, error))
    if sum(size for _, _, size in layout) != body_length:
        raise _ProtocolError("a frame's body of %d bytes is not as long as its arrays" % body_length)
    return header, layout


def _count(number):
    if type(number) is not int or number < 0:
        raise ValueError("%.100r is no number of things" % (number,))
    return number


def serve(kind):
    """Evaluates the batches that Temper sends by an instance of `kind`, derived from `Reward` or `HullCorrection`.

    Returns when Temper is done. With `--try` on the command line it shows what the class says of two crystals instead;
    a JSON object after it is the config.
    """
    if "--try" in sys.argv[1:]:
        sys.exit(_try(kind, *sys.argv[sys.argv.index("--try") + 1 :][:1]))
    if sys.stdin is not None and sys.stdin.isatty():
        sys.exit(
            "%s is started by Temper, and speaks its worker protocol; try it with --try" % os.path.basename(sys.argv[0])
        )
    # A scheduler signals every process; the host wants its batch first, and ends this process when it is done.
    for name in ("SIGINT", "SIGTERM", "SIGUSR1"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda number, frame: None)
    try:
        _converse(kind, _claim())
    except BrokenPipeError:
        pass  # the host has gone
    except _ProtocolError as error:
        sys.exit("%s: %s" % (os.path.basename(sys.argv[0]), error))


def _claim():
    """The pipes from and to the host, out of everybody else's reach: what others print goes to standard error."""
    channel = _Channel(os.fdopen(os.dup(0), "rb", buffering=0), os.dup(1))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout.flush()  # not before: what waits in the buffer must not reach the host either
    sys.stdout = sys.stderr
    return channel


def _converse(kind, channel):
    frame = channel.receive()
    if frame is None:
        return
    evaluator = _greet(kind, channel, frame[0])
    while evaluator is not None:
        frame = channel.receive()
        if frame is None:
            return
        _answer(evaluator, channel, *frame)


def _greet(kind, channel, hello):
    """Answers a hello; the instance, or None if there is none."""
    if hello.get("type") != "hello":
        raise _ProtocolError("the host is to begin with a hello, not with %r" % hello.get("type"))
    try:
        spoken, interface = hello.get("protocol", []), hello.get("interface")
        if PROTOCOL not in spoken:
            raise Failed("this worker speaks version %d of the worker protocol, the host %s" % (PROTOCOL, spoken))
        if interface != kind.interface:
            raise Failed("%s offers `%s`, not `%s`" % (kind.__name__, kind.interface, interface))
        evaluator = kind(hello.get("config") or {})
        channel.send({"type": "ready", "protocol": PROTOCOL, "descriptor": evaluator._describe()})
        return evaluator
    except BrokenPipeError:
        raise
    except Exception as error:
        _show(error)
        advice = {"advice": error.advice} if isinstance(error, Failed) and error.advice else {}
        channel.send(dict(advice, type="error", message=_reason(error)))
        return None


def _answer(evaluator, channel, header, arrays):
    if header.get("type") != "batch":
        raise _ProtocolError("the host is to send batches, not %r" % header.get("type"))
    try:
        number, batch = _count(header["id"]), Batch(_count(header["crystals"]), arrays)
    except (KeyError, ValueError) as error:
        raise _ProtocolError("a batch cannot be read: %s" % _reason(error))
    try:
        values, statuses, reasons = _outcomes(evaluator, batch)
    except Exception as error:
        _show(error)
        channel.send({"type": "failed", "id": number, "message": _reason(error)})
        return
    answer = {"type": "outcomes", "id": number, "reasons": reasons}
    channel.send(answer, ("values", "f64", values), ("statuses", "u8", statuses))


def _show(error):
    """The traceback on standard error, whose last lines Temper keeps; a `Failed` says enough by itself."""
    if not isinstance(error, Failed):
        traceback.print_exception(type(error), error, error.__traceback__)


# Trying without Temper


def _try(kind, config="{}"):
    """Prints what `kind` says of two crystals; the exit code."""
    try:
        evaluator = kind(json.loads(config))
        descriptor = evaluator._describe()
        json.dumps(descriptor, allow_nan=False)
        batch = _two_crystals(evaluator)
        started = time.perf_counter()
        values, statuses, reasons = _outcomes(evaluator, batch)
    except Exception as error:
        _show(error)
        print("failed: %s" % _reason(error))
        if isinstance(error, Failed) and error.advice:
            print("hint: %s" % error.advice)
        return 1
    seconds = time.perf_counter() - started
    print("%s %s: %s, unit %s" % (descriptor["name"], descriptor["version"], kind.interface, evaluator.unit))
    reasons = iter(reasons)
    for crystal, name, value, status in zip(batch, ("copper", "rock salt"), values, statuses):
        text = "%.6g" % value if status == _VALUE else "abstains" if status == _ABSTAINS else "failed: " + next(reasons)
        print("  %-10s %d atoms   %s%s" % (name, len(crystal), text, _remark(evaluator, crystal, value, status)))
    print("in %.3g ms" % (1e3 * seconds))
    return 0


def _remark(evaluator, crystal, value, status):
    if evaluator.elements is not None and not set(crystal.atomic_numbers) <= set(evaluator.elements):
        return "   (Temper fails it by itself: not all of its elements are declared)"
    return "" if status != _VALUE or math.isfinite(value) else "   (a failure for Temper)"


def _two_crystals(evaluator):
    faces = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]
    edges = [[0.5, 0.5, 0.5], [0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5]]
    copper = ([[3.615, 0, 0], [0, 3.615, 0], [0, 0, 3.615]], [29] * 4, faces)
    rock_salt = ([[5.64, 0, 0], [0, 5.64, 0], [0, 0, 5.64]], [11] * 4 + [17] * 4, faces + edges)
    extras = {"space_groups": [225, 225], "wyckoff_letters": "aaaaaaaabbbb"} if evaluator.symmetry else {}
    if evaluator.energies:
        extras["energies"] = [-16.4, -27.2]
    return Batch.of([copper, rock_salt], **extras)
