"""Put into traps.json what each trap answers under the SymPy that runs this."""

import json
import sys
from pathlib import Path

import sympy

sys.path.insert(0, str(Path(__file__).parents[1]))
from pitfalls import answers

path = Path(__file__).with_name("traps.json")
record = json.loads(path.read_text("utf-8")) if path.exists() else {}
record[sympy.__version__] = answers()
path.write_text(json.dumps(dict(sorted(record.items())), indent=2) + "\n", "utf-8")
