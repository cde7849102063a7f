"""Plays the host against `temper_worker` through pipes. Frames are built here from PROTOCOL.md alone.

Run: python3 -m unittest discover plugins/python
"""

import json
import os
import re
import signal
import struct
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
CODES = {"u8": "B", "i64": "q", "f64": "d"}

CUBE = [[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 4.0]]
TRICLINIC = [[3.0, 0.5, 0.0], [-1.0, 4.0, 0.25], [0.75, 0.0, 5.0]]


def frame(header, body=b""):
    """A frame as the host sends it."""
    text = json.dumps(header).encode("utf-8")
    return b"TMPR" + struct.pack("<I", len(text)) + struct.pack("<Q", len(body)) + text + body


def hello(config=None, interface="reward/1", protocol=(1,)):
    header = {"type": "hello", "protocol": list(protocol), "host": "temper 9.9.9", "interface": interface}
    header["config"] = {} if config is None else config
    header["a key of the future"] = [None]
    return frame(header)


def batch(number, crystals, **extra):
    """A batch of (lattice, atomic numbers, fractional coordinates); `extra`: name = (type, shape, values)."""
    offsets, numbers, fractional, cartesian, lattices = [0], [], [], [], []
    for lattice, atoms, points in crystals:
        numbers += atoms
        offsets.append(len(numbers))
        for point in points:
            fractional += point
            cartesian += [sum(point[k] * lattice[k][axis] for k in range(3)) for axis in range(3)]
        lattices += lattice[0] + lattice[1] + lattice[2]
    n, m = len(crystals), len(numbers)
    arrays = [("offsets", "i64", [n + 1], offsets), ("atomic_numbers", "u8", [m], numbers)]
    arrays += [("fractional", "f64", [m, 3], fractional), ("cartesian", "f64", [m, 3], cartesian)]
    arrays += [("lattices", "f64", [n, 3, 3], lattices)]
    arrays += [(name, dtype, shape, values) for name, (dtype, shape, values) in extra.items()]
    layout = [{"name": name, "dtype": dtype, "shape": shape} for name, dtype, shape, _ in arrays]
    body = b"".join(struct.pack("<%d%s" % (len(values), CODES[dtype]), *values) for _, dtype, _, values in arrays)
    return frame({"type": "batch", "id": number, "crystals": n, "arrays": layout}, body)


def crystal(number, atoms=1, lattice=CUBE):
    return lattice, [number] * atoms, [[0.5, 0.25, -0.125 * i] for i in range(atoms)]


class Worker:
    """A program of an author, running."""

    def __init__(self, program, *arguments, **options):
        self.folder = tempfile.TemporaryDirectory()
        path = os.path.join(self.folder.name, "program.py")
        with open(path, "w", encoding="utf-8") as file:
            file.write(textwrap.dedent(program))
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        environment.update(options, PYTHONPATH=HERE, PYTHONDONTWRITEBYTECODE="1")
        command = [sys.executable, path] + list(arguments)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        # Whoever starts the tests in the background has interrupts ignored already, which would be inherited.
        pipes["preexec_fn"] = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
        self.process = subprocess.Popen(command, env=environment, cwd=self.folder.name, **pipes)
        self.watchdog = threading.Timer(120.0, self.process.kill)  # a worker that hangs fails its test
        self.watchdog.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.watchdog.cancel()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            try:
                pipe.close()
            except BrokenPipeError:
                pass
        self.folder.cleanup()

    def send(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def receive(self):
        """Header and arrays of the next frame, which must be one."""
        prefix = self._exactly(16)
        magic, header_length, body_length = prefix[:4], prefix[4:8], prefix[8:]
        if magic != b"TMPR":
            raise AssertionError("no frame: %r" % prefix)
        text = self._exactly(struct.unpack("<I", header_length)[0])
        header = json.loads(text.decode("utf-8"), parse_constant=lambda name: self._no_json(name))
        body = self._exactly(struct.unpack("<Q", body_length)[0])
        arrays, start = {}, 0
        for entry in header.get("arrays", []):
            (length,) = entry["shape"]
            code = "<%d%s" % (length, CODES[entry["dtype"]])
            arrays[entry["name"]] = list(struct.unpack_from(code, body, start))
            start += struct.calcsize(code)
        if start != len(body):
            raise AssertionError("a body of %d bytes for arrays of %d" % (len(body), start))
        return header, arrays

    def ask(self, data):
        self.send(data)
        return self.receive()

    def end(self):
        """Closes its input; exit code, what was left on its output, and its standard error."""
        output, errors = self.process.communicate(timeout=30)
        return self.process.returncode, output, errors.decode("utf-8")

    def _exactly(self, count):
        data = self.process.stdout.read(count)
        if len(data) != count:
            raise AssertionError("the output ends: %s" % self.process.stderr.read().decode("utf-8"))
        return data

    @staticmethod
    def _no_json(name):
        raise AssertionError("%s is no JSON" % name)


# The value of a crystal is its first atomic number; some mean something else.
MIXED = """
    from temper_worker import Failed, Reward, serve

    class Mixed(Reward):
        def score_one(self, crystal):
            number = crystal.atomic_numbers[0]
            if number == 1:
                return None
            if number == 2:
                return Failed("returned")
            if number == 3:
                raise Failed("raised")
            if number == 4:
                raise ValueError("of a library")
            if number == 5:
                return "a string"
            if number == 6:
                return float("nan")
            if number == 7:
                return Failed("ångström, 晶体, \\ud800")
            return number

    serve(Mixed)
"""


class Conversation(unittest.TestCase):
    def test_bytes_of_a_whole_conversation(self):
        program = """
            from temper_worker import Reward, serve
            class Constant(Reward):
                version = "2.1"
                def score(self, batch):
                    return [1.5, None]
            serve(Constant)
        """
        with Worker(program) as worker:
            text = b'{"type":"hello","protocol":[1],"host":"temper 0.1.0","interface":"reward/1","config":{}}'
            worker.send(b"TMPR" + bytes([len(text), 0, 0, 0]) + bytes(8) + text)
            header, arrays = worker.receive()
            self.assertEqual((header["type"], header["protocol"], arrays), ("ready", 1, {}))
            worker.send(batch(7, [crystal(8), crystal(9)]))
            _, output, errors = worker.end()
        self.assertEqual(output[:4], b"TMPR")
        header_length, body_length = struct.unpack("<IQ", output[4:16])
        header = json.loads(output[16 : 16 + header_length].decode("utf-8"))
        layout = [{"name": "values", "dtype": "f64", "shape": [2]}, {"name": "statuses", "dtype": "u8", "shape": [2]}]
        self.assertEqual(header, {"type": "outcomes", "id": 7, "reasons": [], "arrays": layout})
        body = output[16 + header_length :]
        self.assertEqual(body_length, 18)
        self.assertEqual(body[:8], b"\x00\x00\x00\x00\x00\x00\xf8\x3f")
        self.assertEqual(body[16:], b"\x00\x01")
        self.assertEqual(errors, "")

    def test_descriptor(self):
        program = """
            import math
            from temper_worker import Reward, serve
            class Plain(Reward):
                pass
            class Detailed(Reward):
                '''Says a lot.

                More.
                '''
                name, version, licence, unit = "detail", "1.2.3", "MIT", "eV"
                deterministic = rotation_invariant = False
                range = (0, math.inf)
                worst = 3
                symmetry = energies = True
                config_schema = {"type": "object"}
                def __init__(self, config):
                    self.elements = {29, 8}
            import sys
            serve(globals()[sys.argv[1]])
        """
        with Worker(program, "Plain") as worker:
            descriptor = worker.ask(hello())[0]["descriptor"]
        self.assertEqual((descriptor["name"], descriptor["version"]), ("Plain", "0"))
        self.assertEqual((descriptor["licence"], descriptor["description"]), ("", ""))
        claims = {"id": "reward/1", "unit": "1", "elements": None, "deterministic": True, "range": [None, None]}
        claims.update({what + "_invariant": True for what in ("translation", "rotation", "permutation")})
        claims.update(worst=None, symmetry=False, energies=False, scales=None, config_schema=None)
        self.assertEqual(descriptor["interfaces"], [claims])
        with Worker(program, "Detailed") as worker:
            descriptor = worker.ask(hello())[0]["descriptor"]
        self.assertEqual((descriptor["name"], descriptor["version"]), ("detail", "1.2.3"))
        self.assertEqual((descriptor["licence"], descriptor["description"]), ("MIT", "Says a lot."))
        claims.update(unit="eV", elements=[8, 29], deterministic=False, rotation_invariant=False)
        claims.update(range=[0, None], worst=3, symmetry=True, energies=True, config_schema={"type": "object"})
        self.assertEqual(descriptor["interfaces"], [claims])

    def test_no_version_in_common(self):
        with Worker(MIXED) as worker:
            header, _ = worker.ask(hello(protocol=[2, 3]))
            expected = "this worker speaks version 1 of the worker protocol, the host [2, 3]"
            self.assertEqual(header, {"type": "error", "message": expected})
            self.assertEqual(worker.end(), (0, b"", ""))
        with Worker(MIXED) as worker:
            self.assertEqual(worker.ask(hello(protocol=[9, 1]))[0]["protocol"], 1)

    def test_another_interface(self):
        with Worker(MIXED) as worker:
            header, _ = worker.ask(hello(interface="hull-correction/1"))
        self.assertEqual(header, {"type": "error", "message": "Mixed offers `reward/1`, not `hull-correction/1`"})

    def test_config(self):
        program = """
            from temper_worker import Failed, Reward, refuse_unknown_keys, serve
            class Target(Reward):
                def __init__(self, config):
                    refuse_unknown_keys(config, ["target", "weight"])
                    self.target = config["target"]
                    if self.target < 0:
                        raise Failed("target is %g, less than 0" % self.target)
                def score(self, batch):
                    return [self.target] * len(batch)
            serve(Target)
        """
        expected = {
            '{"targett": 1}': "config: unknown key `targett`; the nearest is `target`",
            '{"Ω": 1}': "config: unknown key `Ω`",
            '{"target": -1}': "target is -1, less than 0",
            "{}": "KeyError: 'target' (program.py:6)",
            '{"target": "x"}': "TypeError: '<' not supported between instances of 'str' and 'int' (program.py:7)",
        }
        for config, message in expected.items():
            with self.subTest(config), Worker(program) as worker:
                header, _ = worker.ask(hello(json.loads(config)))
                advice = header.pop("advice", None)
                self.assertEqual(header, {"type": "error", "message": message})
                self.assertEqual(advice, "keys of `config`: target, weight" if "unknown" in message else None)
                code, output, errors = worker.end()
                self.assertEqual((code, output), (0, b""))
                self.assertEqual("Traceback" in errors, "program.py" in message)
        with Worker(program) as worker:
            worker.ask(hello({"target": 2.5}))
            self.assertEqual(worker.ask(batch(0, [crystal(1)]))[1], {"values": [2.5], "statuses": [0]})

    def test_without_an_init_no_key_is_known(self):
        with Worker(MIXED) as worker:
            expected = {"message": "config: unknown key `a`", "advice": "keys of `config`: none"}
            self.assertEqual(worker.ask(hello({"a": 1}))[0], dict(expected, type="error"))

    def test_a_descriptor_that_cannot_be_sent(self):
        for attribute in ('unit = {"eV"}', 'elements = ["Cu"]', 'worst = float("nan")', "range = 3"):
            program = "from temper_worker import *\nclass R(Reward):\n    %s\nserve(R)\n" % attribute
            with self.subTest(attribute), Worker(program) as worker:
                self.assertEqual(worker.ask(hello())[0]["type"], "error")
                self.assertEqual(worker.end()[:2], (0, b""))

    def test_the_end_of_the_input_is_the_end(self):
        whole = hello() + batch(1, [crystal(20)])
        for length in (0, 3, 16, 30, len(hello()), len(hello()) + 20, len(whole) - 1):
            with self.subTest(length), Worker(MIXED) as worker:
                worker.send(whole[:length])
                code, _, errors = worker.end()
                self.assertEqual((code, errors), (0, ""))

    def test_a_host_that_has_gone(self):
        with Worker(MIXED) as worker:
            worker.ask(hello())
            worker.process.stdout.close()
            worker.send(batch(1, [crystal(20)]))
            worker.process.stdin.close()
            self.assertEqual(worker.process.stderr.read(), b"")
            self.assertEqual(worker.process.wait(30), 0)

    def test_interrupts_are_ignored(self):
        with Worker(MIXED) as worker:
            worker.ask(hello())
            worker.process.send_signal(signal.SIGINT)
            self.assertEqual(worker.ask(batch(1, [crystal(20)]))[1]["values"], [20.0])
            self.assertEqual(worker.end(), (0, b"", ""))

    def test_input_that_is_no_protocol(self):
        layout = [{"name": "offsets", "dtype": "i64", "shape": [1]}]
        one = batch(1, [crystal(20)])
        beyond = b'{"type": "batch", "arrays": [{"name": "x", "dtype": "u8", "shape": [%d]}]}' % 2**63
        cases = {
            "no magic": b"GET / HTTP/1.1\r\n\r\n",
            "a batch first": one,
            "a header beyond its limit": b"TMPR" + struct.pack("<IQ", 0xFFFFFFFF, 0),
            "no JSON": b"TMPR" + struct.pack("<IQ", 4, 0) + b"nope",
            "no UTF-8": b"TMPR" + struct.pack("<IQ", 4, 0) + b'"\xff\xfe"',
            "no object": frame([1]),
            "nested without end": b"TMPR" + struct.pack("<IQ", 200000, 0) + b"[" * 200000,
            "a body without arrays": hello() + frame({"type": "batch", "id": 1, "crystals": 0}, b"12345678"),
            "a body too short": hello() + frame({"type": "batch", "id": 1, "crystals": 0, "arrays": layout}, b"1234"),
            "an unknown type": hello()
            + frame({"type": "batch", "arrays": [{"name": "x", "dtype": "f32", "shape": []}]}),
            "a negative shape": hello() + one.replace(b'"shape": [1]', b'"shape":[-1]'),
            "a shape of text": hello() + one.replace(b'"shape": [1]', b'"shape":["]'),
            "more than there is": b"TMPR" + struct.pack("<IQ", 2, 2**63) + b"{}",
            "a shape beyond memory": hello() + b"TMPR" + struct.pack("<IQ", len(beyond), 2**63) + beyond,
            "another frame than a batch": hello() + frame({"type": "dance"}),
            "no number of crystals": hello() + one.replace(b'"crystals": 1', b'"chrystal": 1'),
            "another number of crystals": hello() + one.replace(b'"crystals": 1', b'"crystals": 2'),
            "crystals less than none": hello() + one.replace(b'"crystals": 1', b'"crystals":-1'),
            "no id": hello() + one.replace(b'"id"', b'"Id"'),
            "an array missing": hello() + one.replace(b"cartesian", b"Cartesian"),
            "an array of another type": hello() + batch(1, []).replace(b'"dtype": "i64"', b'"dtype": "f64"'),
            "offsets that fall": hello() + one.replace(struct.pack("<qq", 0, 1), struct.pack("<qq", 1, 0)),
            "offsets beyond the atoms": hello() + one.replace(struct.pack("<qq", 0, 1), struct.pack("<qq", 0, 2)),
        }
        for name, data in cases.items():
            with self.subTest(name), Worker(MIXED) as worker:
                worker.send(data)
                code, output, errors = worker.end()
                self.assertEqual(code, 1)
                self.assertRegex(errors, r"\Aprogram\.py: .*\n\Z")
                self.assertEqual(output.count(b"TMPR"), data.startswith(hello()))


class Batches(unittest.TestCase):
    def test_outcomes_and_reasons_in_order(self):
        with Worker(MIXED) as worker:
            worker.ask(hello())
            header, arrays = worker.ask(batch(3, [crystal(n) for n in (2, 50, 1, 3, 4, 60, 5, 1, 2)]))
        self.assertEqual((header["type"], header["id"]), ("outcomes", 3))
        reasons = [
            "returned",
            "raised",
            "ValueError: of a library (program.py:14)",
            "the outcome is no number: 'a string'",
        ]
        self.assertEqual(header["reasons"], reasons + ["returned"])
        self.assertEqual(arrays["statuses"], [2, 0, 1, 2, 2, 0, 2, 1, 2])
        self.assertEqual((arrays["values"][1], arrays["values"][5]), (50.0, 60.0))

    def test_nan_is_left_to_the_host(self):
        with Worker(MIXED) as worker:
            worker.ask(hello())
            header, arrays = worker.ask(batch(3, [crystal(6), crystal(20)]))
        self.assertEqual((header["reasons"], arrays["statuses"]), ([], [0, 0]))
        self.assertNotEqual(arrays["values"][0], arrays["values"][0])
        self.assertEqual(arrays["values"][1], 20.0)

    def test_reasons_in_any_script(self):
        with Worker(MIXED, LC_ALL="C", PYTHONIOENCODING="ascii") as worker:
            worker.ask(hello())
            header, _ = worker.ask(batch(3, [crystal(7)]))
        self.assertEqual(header["reasons"], ["ångström, 晶体, ?"])

    def test_many_batches_of_every_size(self):
        with Worker(MIXED) as worker:
            worker.ask(hello())
            for number, size in enumerate([0, 1, 0, 50, 3, 0]):
                header, arrays = worker.ask(batch(number, [crystal(20 + i) for i in range(size)]))
                self.assertEqual((header["id"], header["reasons"]), (number, []))
                self.assertEqual(arrays, {"values": [20.0 + i for i in range(size)], "statuses": [0] * size})
            self.assertEqual(worker.end(), (0, b"", ""))

    def test_batches_that_wait_in_the_pipe(self):
        with Worker(MIXED) as worker:
            worker.send(hello() + batch(1, [crystal(20)]) + batch(2, [crystal(21)]))
            self.assertEqual(worker.receive()[0]["type"], "ready")
            for number in (1, 2):
                header, arrays = worker.receive()
                self.assertEqual((header["id"], arrays["values"]), (number, [19.0 + number]))

    def test_unknown_arrays_are_ignored(self):
        with Worker(MIXED) as worker:
            worker.ask(hello())
            extra = {"charges": ("f64", [2, 1], [0.5, 1.5]), "flags": ("u8", [1], [1])}
            _, arrays = worker.ask(batch(1, [crystal(20, atoms=2)], **extra))
        self.assertEqual(arrays["values"], [20.0])

    def test_what_a_crystal_holds(self):
        program = """
            import json
            from temper_worker import Failed, Reward, serve
            class Echo(Reward):
                symmetry = energies = True
                def score(self, batch):
                    columns = (batch.offsets, batch.atomic_numbers, batch.fractional, batch.cartesian, batch.lattices,
                               batch.space_groups, batch.wyckoff_letters)
                    whole = json.dumps([column.tolist() for column in columns])
                    assert [c.index for c in batch] == [0, 1] and [batch[i].index for i in (0, 1, -1)] == [0, 1, 1]
                    return [Failed(self.echo(batch[0])), Failed(self.echo(batch[-1]) + whole)]
                def echo(self, crystal):
                    return json.dumps([len(crystal), crystal.atomic_numbers.tolist(), crystal.fractional.tolist(),
                        crystal.cartesian.tolist(), crystal.lattice.tolist(), crystal.lattice[1, 0], crystal.volume,
                        crystal.space_group, crystal.wyckoff_letters, crystal.energy]) + "|"
            serve(Echo)
        """
        first = (TRICLINIC, [11, 17], [[0.0, 0.5, 1.0], [0.25, 0.0, -0.5]])
        second = (CUBE, [29], [[0.5, 0.5, 0.5]])
        extra = {"space_groups": ("u8", [2], [221, 0]), "wyckoff_letters": ("u8", [3], list(b"aA\0"))}
        with Worker(program) as worker:
            self.assertIs(worker.ask(hello())[0]["descriptor"]["interfaces"][0]["symmetry"], True)
            data = batch(1, [first, second], energies=("f64", [2], [-7.5, float("nan")]), **extra)
            one, two = worker.ask(data)[0]["reasons"]
        # a . (b x c) = 3 * (4 * 5 - 0.25 * 0) - 0.5 * (-1 * 5 - 0.25 * 0.75) + 0
        volume = 60 + 0.5 * 5.1875
        cartesian = [[0.25, 2.0, 5.125], [0.375, 0.125, -2.5]]
        expected = [2, [11, 17], first[2], cartesian, TRICLINIC, -1.0, volume, 221, "aA", -7.5]
        self.assertEqual(json.loads(one[:-1]), expected)
        two, whole = two.split("|")
        self.assertEqual(json.loads(two), [1, [29], [[0.5] * 3], [[2.0] * 3], CUBE, 0.0, 64.0, None, None, None])
        columns = [[0, 2, 3], [11, 17, 29], first[2] + second[2], cartesian + [[2.0] * 3], [TRICLINIC, CUBE]]
        self.assertEqual(json.loads(whole), columns + [[221, 0], [97, 65, 0]])

    def test_columns_that_were_not_asked_for(self):
        program = """
            from temper_worker import Reward, serve
            class Forgetful(Reward):
                def score_one(self, crystal):
                    return crystal.energy if len(crystal) > 1 else crystal.space_group
            serve(Forgetful)
        """
        with Worker(program) as worker:
            worker.ask(hello())
            header, _ = worker.ask(batch(1, [crystal(20, 2), crystal(20)]))
        text = "the batch has no %s; a class asks for them by `%s = True`"
        self.assertEqual(header["reasons"], [text % ("energies", "energies"), text % ("space_groups", "symmetry")])

    def test_corrections(self):
        program = """
            from temper_worker import HullCorrection, serve
            class Shift(HullCorrection):
                scales = ("PBE", "MINE")
                def correct_one(self, crystal):
                    return crystal.energy / len(crystal) - 1
            class Whole(HullCorrection):
                def correct(self, batch):
                    return batch.energies
            import sys
            serve(globals()[sys.argv[1]])
        """
        energies = ("f64", [2], [-8.0, float("nan")])
        with Worker(program, "Shift") as worker:
            claims = worker.ask(hello(interface="hull-correction/1"))[0]["descriptor"]["interfaces"][0]
            self.assertEqual((claims["id"], claims["unit"]), ("hull-correction/1", "eV"))
            self.assertEqual((claims["scales"], claims["energies"]), (["PBE", "MINE"], True))
            header, arrays = worker.ask(batch(1, [crystal(20, 2), crystal(20)], energies=energies))
        self.assertEqual((arrays["values"][0], arrays["statuses"]), (-5.0, [0, 2]))
        self.assertRegex(header["reasons"][0], "^TypeError: .*NoneType")
        with Worker(program, "Whole") as worker:
            worker.ask(hello(interface="hull-correction/1"))
            self.assertEqual(
                worker.ask(batch(1, [crystal(20, 2), crystal(20)], energies=energies))[1]["values"][0], -8.0
            )

    def test_ten_thousand_crystals(self):
        data = batch(1, [crystal(20 + i % 60, atoms=10) for i in range(10000)])
        with Worker(MIXED) as worker:
            worker.ask(hello())
            started = time.monotonic()
            header, arrays = worker.ask(data)
            self.assertLess(time.monotonic() - started, 5.0)
        self.assertEqual(arrays["values"], [20.0 + i % 60 for i in range(10000)])
        self.assertEqual((arrays["statuses"], header["reasons"]), ([0] * 10000, []))

    def test_ten_thousand_long_reasons(self):
        program = """
            from temper_worker import Failed, Reward, serve
            class Talkative(Reward):
                def score_one(self, crystal):
                    return Failed("%d " % crystal.index + 100000 * "晶")
            serve(Talkative)
        """
        with Worker(program) as worker:
            worker.ask(hello())
            header, _ = worker.ask(batch(1, [crystal(20)] * 10000))
        self.assertEqual([int(reason.split()[0]) for reason in header["reasons"]], list(range(10000)))
        self.assertLess(len(json.dumps(header, ensure_ascii=False).encode("utf-8")), 64 << 20)


class Mistakes(unittest.TestCase):
    def messages(self, body, config=""):
        """The answers to a batch of two and then to an empty one, of a reward whose `score` has this body."""
        program = "import sys, os, ctypes, subprocess\nfrom temper_worker import *\n%s\nclass R(Reward):\n" % config
        program += "    def score(self, batch):\n" + textwrap.indent(textwrap.dedent(body), 8 * " ") + "\nserve(R)\n"
        with Worker(program) as worker:
            self.assertEqual(worker.ask(hello())[0]["type"], "ready")
            header, arrays = worker.ask(batch(1, [crystal(20), crystal(21)]))
            self.assertEqual(header["id"], 1)
            self.assertEqual(worker.ask(batch(2, []))[0]["type"], "outcomes")
            code, output, errors = worker.end()
            self.assertEqual((code, output), (0, b""))
        return header, arrays, errors

    def test_exceptions_fail_the_batch_and_the_worker_goes_on(self):
        cases = {
            "raise ValueError('no such thing')": "ValueError: no such thing (program.py:6)",
            "raise Failed('as it is')": "as it is",
            "return [1.0]": "it gave 1 outcomes for 2 crystals",
            "return [1.0] * 3": "it gave 3 outcomes for 2 crystals",
            "pass": "it gave None instead of one outcome per crystal",
            "return (1 / (20 - c.atomic_numbers[0]) for c in batch)": "ZeroDivisionError: .* \\(program.py:6\\)",
            "assert False": "AssertionError (program.py:6)",
            "raise MemoryError": "MemoryError (program.py:6)",
            "return self.score(batch)": "RecursionError: .*",
        }
        for body, message in cases.items():
            with self.subTest(body):
                header, arrays, errors = self.messages(body)
                self.assertEqual((header["type"], arrays), ("failed", {}))
                matches = self.assertRegex if ".*" in message else self.assertEqual
                matches(header["message"], message)
                self.assertEqual("Traceback" in errors, "program" in message or "Recursion" in message)

    def test_what_counts_as_numbers(self):
        cases = {
            "return [1, 2]": [1.0, 2.0],
            "return (1.0, True)": [1.0, 1.0],
            "return map(float, batch.atomic_numbers)": [20.0, 21.0],
            "import array; return array.array('f', [0.5, 2])": [0.5, 2.0],
            "import fractions; return [fractions.Fraction(1, 4), float('inf')]": [0.25, float("inf")],
        }
        for body, values in cases.items():
            with self.subTest(body):
                self.assertEqual(self.messages(body)[1], {"values": values, "statuses": [0, 0]})
        for body in ("'1.5'", "[1.5]", "1j", "10 ** 400", "b'1'"):
            with self.subTest(body):
                header, arrays, _ = self.messages("return [%s, 7.0]" % body)
                self.assertEqual((arrays["values"][1], arrays["statuses"]), (7.0, [2, 0]))
                self.assertRegex(header["reasons"][0], "the outcome is no number: ")

    def test_what_is_printed_does_not_reach_the_host(self):
        printing = """
            print("from print")
            print("at once", flush=True)
            sys.__stdout__.write("from the first stdout\\n"); sys.__stdout__.flush()
            os.write(1, b"from os.write\\n")
            libc = ctypes.CDLL(None); libc.puts(b"from C"); libc.fflush(None)
            subprocess.call([sys.executable, "-c", "print('from a child')"])
            assert sys.stdin.read() == "" and os.read(0, 10) == b""
        """
        printed = ["from print", "at once", "from the first stdout", "from os.write", "from C", "from a child"]
        header, arrays, errors = self.messages(textwrap.dedent(printing) + "return [1.0, 2.0]\n")
        self.assertEqual(arrays, {"values": [1.0, 2.0], "statuses": [0, 0]})
        self.assertEqual(errors.split("\n"), printed + [""])
        constructor = textwrap.indent(textwrap.dedent(printing), 8 * " ")
        program = "import sys, os, ctypes, subprocess\nfrom temper_worker import *\nprint('while it was imported')\n"
        program += "class R(Reward):\n    def __init__(self, config):\n%s\nserve(R)\n" % constructor
        with Worker(program) as worker:
            self.assertEqual(worker.ask(hello())[0]["type"], "ready")
            code, output, errors = worker.end()
        self.assertEqual((code, output, errors.split("\n")), (0, b"", ["while it was imported"] + printed + [""]))

    def test_the_last_words_of_one_that_dies(self):
        program = """
            import os
            from temper_worker import Reward, serve
            class Dies(Reward):
                def score(self, batch):
                    print("so it ends")
                    os._exit(3)
            serve(Dies)
        """
        with Worker(program) as worker:
            worker.ask(hello())
            worker.send(batch(1, [crystal(20)]))
            self.assertEqual(worker.end(), (3, b"", "so it ends\n"))


class Alone(unittest.TestCase):
    """The module without a host."""

    def tried(self, program, *arguments):
        with Worker(program, "--try", *arguments) as worker:
            code, output, errors = worker.end()
        return code, output.decode("utf-8").split("\n"), errors

    def test_try(self):
        with open(os.path.join(HERE, "examples", "density.py"), encoding="utf-8") as file:
            density = file.read()
        code, lines, errors = self.tried(density)
        self.assertEqual((code, errors), (0, ""))
        # 4 * 63.546 and 4 * (22.990 + 35.45) g/mol in 3.615 A and 5.64 A cubed
        expected = ["copper     4 atoms   8.93454", "rock salt  8 atoms   2.16362"]
        self.assertEqual(lines[:3], ["Density 1.0: reward/1, unit g/cm^3"] + ["  " + line for line in expected])
        code, lines, _ = self.tried(density.replace("if weight]", "if number == 29]"))
        self.assertEqual(
            lines[2],
            "  rock salt  8 atoms   2.16362   (Temper fails it by itself: not all of its elements are declared)",
        )
        code, lines, _ = self.tried(density, '{"unit": 1}')
        self.assertEqual((code, lines[:2]), (1, ["failed: config: unknown key `unit`", "hint: keys of `config`: none"]))
        code, lines, errors = self.tried(density.replace("crystal.volume", "crystal.energy"))
        reason = "the batch has no energies; a class asks for them by `energies = True`"
        self.assertEqual(lines[1], "  copper     4 atoms   failed: " + reason)

    def test_try_a_correction_with_symmetry(self):
        program = """
            from temper_worker import HullCorrection, serve
            class Shift(HullCorrection):
                symmetry = True
                def correct_one(self, crystal):
                    if len(crystal) == 4:
                        return None
                    return crystal.space_group + crystal.wyckoff_letters.count("b") * crystal.energy
            serve(Shift)
        """
        code, lines, errors = self.tried(program)
        self.assertEqual((code, errors, lines[1].split()[-1]), (0, "", "abstains"))
        self.assertEqual(float(lines[2].split()[-1]), 225 + 4 * -27.2)

    def test_the_readme_shows_what_happens(self):
        with open(os.path.join(HERE, "README.md"), encoding="utf-8") as file:
            text = file.read()
        (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
        command, shown = re.search(r"    \$ python3 stretch.py --try '(.*?)'\n(.*?)\n    in ", text, re.DOTALL).groups()
        code, lines, errors = self.tried(program, command)
        self.assertEqual((code, errors), (0, ""))
        self.assertEqual(["    " + line for line in lines[:3]], shown.split("\n"))

    def test_batches_for_the_tests_of_an_author(self):
        program = """
            from temper_worker import Batch, Reward
            class Atoms(Reward):
                def score_one(self, crystal):
                    return len(crystal)
            cube = [[2, 0, 0], [0, 2, 0], [0, 0, 2]]
            batch = Batch.of([(cube, [55, 17], [[0, 0, 0], [0.5, 0.5, 0.5]]), (cube, [26], [[0, 0, 0]])])
            assert Atoms({}).score(batch) == [2, 1]
            assert batch.cartesian.tolist() == [[0, 0, 0], [1, 1, 1], [0, 0, 0]]
        """
        with Worker(program) as worker:
            self.assertEqual(worker.end(), (0, b"", ""))

    def test_source_is_of_python_3_8(self):
        import ast

        for folder, _, files in os.walk(HERE):
            for name in files:
                if name.endswith(".py"):
                    with open(os.path.join(folder, name), encoding="utf-8") as file:
                        ast.parse(file.read(), feature_version=(3, 8))


if __name__ == "__main__":
    unittest.main()
