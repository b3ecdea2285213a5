"""What stands in the places of a layer's file: names, calls, types."""

from collections.abc import Iterable, Mapping
from textwrap import indent

from sympy import Expr, IndexedBase

from rmsnorm_math.codegen.derived import Derived
from rmsnorm_math.codegen.docstring import formula, notes_of
from rmsnorm_math.codegen.files import CASTS
from rmsnorm_math.codegen.lines import valued
from rmsnorm_math.codegen.nodes import Contraction, parts
from rmsnorm_math.codegen.record import Program


def widened(
    layer: Derived, arguments: Mapping[Expr, str], framework: str, passes: tuple[Program, Program]
) -> set[str]:
    """Return the arrays that the functions of a file get as floats of at least 32 bits."""
    forward, _ = passes
    arrays = [text for key, text in arguments.items() if isinstance(key, IndexedBase)]
    smooth = [a for a in layer.differentiated if a in arrays]
    cotangent = layer.cotangent.values() if forward.results[0].axes else ()  # a number: any type
    held = _multiplied(passes) & {*arrays} if framework == "torch" else ()  # it mixes no types
    return {*smooth, layer.label, *(f"{a}_dot" for a in smooth), *cotangent, *held}


def _multiplied(programs: Iterable[Program]) -> set[str]:
    """Return what the factors of matrix products are made of."""
    found: set[str] = set()
    for recorded in programs:
        lines = {s.name: s.expr for s in recorded.statements}
        products = [p for e in lines.values() for p in parts(e) if isinstance(p, Contraction)]
        todo = [factor for product in products for factor in product.factors]
        while todo:
            new = {*valued(todo.pop())} - found
            found |= new
            todo += [lines[name] for name in new if name in lines]
    return found


def filled(
    layer: Derived,
    arguments: Mapping[Expr, str],
    framework: str,
    name: str,
    passes: tuple[Program, Program],
) -> dict[str, str]:
    """Return the text for each place in the template of a framework."""
    forward, backward = passes
    label, every, chosen = layer.label, [*arguments.values()], layer.differentiated
    (dy,) = layer.cotangent.values()
    arrays = [text for key, text in arguments.items() if isinstance(key, IndexedBase)]
    smooth = [a for a in chosen if a in arrays]
    dots = {a: f"{a}_dot" for a in every}
    kept = [r.label for r in forward.results[1:]]
    given = [p.name for p in backward.parameters]
    gradients = [f"d{a}" for a in chosen]
    tensors = [a for a in every if a in arrays or a in chosen]
    again = tensors if kept else [a for a in tensors if a in given]
    saved = [*again, *([label] if label in given else []), *kept]
    numbers = [a for a in every if a not in tensors]
    fixed = [a for a in every if a not in chosen]
    held = [a for a in fixed if a in tensors]
    wide = widened(layer, arguments, framework, passes)
    cast = CASTS[framework]
    axis = backward.parameters[0].axes[:1]  # the rows'

    columns = {p.name: f"{p.name}[..., None]" for p in backward.parameters if p.column}
    columns = {a: text for a, text in columns.items() if a in kept}

    def call(function: str, names: Iterable[str]) -> str:
        texts = [f"_wide({a})" if a in wide else columns.get(a, a) for a in names]
        return f"{function}({', '.join(texts)})"

    def run(targets: list[str], function: str, program: Program) -> str:
        return f"{', '.join(targets)} = {call(function, (p.name for p in program.parameters))}"

    def typed(names: Iterable[str], likes: Iterable[str], there: Iterable[str]) -> list[str]:
        there = [*there]
        other = dy if dy in wide else next((a for a in smooth if a in there), None)
        models = [a if a in there else other for a in likes]
        return [
            cast.format(n, model) if model and a in smooth and n not in kept else n
            for n, a, model in zip(names, likes, models, strict=True)
        ]

    def fetch(names: Iterable[str]) -> str:
        return "".join(line(2, f"{a} = ctx.{a}") for a in names if a in numbers)

    likes = smooth[0] if smooth else ""
    (output,) = typed([label], [likes], every)
    moves = [f"by_{a}" for a in chosen]
    moved = " + ".join(moves)
    in_brackets = moves[1:] and framework != "torch"
    (output_dot,) = typed([f"({moved})" if in_brackets else moved], [likes], every)
    tangent = call("_tangent", [*(dots[a] for a in chosen), *every])
    results = dict(
        zip(
            chosen,
            typed(gradients, chosen, given if framework == "numpy" else [*given, *saved]),
            strict=True,
        )
    )
    in_order = [results.get(a, "None") for a in every]
    complaint = f'raise ValueError("{name} is not differentiated by {" or ".join(fixed)}")'
    texts = {
        "name": name,
        "rule": "".join(word.capitalize() for word in name.split("_")),
        "label": label,
        "arguments": ", ".join(every),
        "arguments_": several(every),
        "formulas": indent("\n".join(formula(*pair) for pair in layer.output.items()), "    ")
        + "".join(f"\n\n{indent(note, '    ')}" for note in notes_of(forward)),
        "and_kept": f", and what {name}_backward takes: {', '.join(kept)}" if kept else "",
        "run_forward": run([label, *kept], "_forward", forward),
        "run_backward": run(gradients, "_backward", backward),
        "given": ", ".join(given),
        "gradients": ", ".join(gradients),
        "cotangent": dy,
        "outputs_": several([label if label in saved else "_", *kept]),
        "saved": ", ".join(saved),
        "fetch_saved": line(2, f"{several(saved)} = ctx.saved_tensors", saved),
        "tensors": ", ".join(tensors),
        "tensors_": several(tensors),
        "dots": ", ".join(dots.values()),
        "dots_": several(dots.values()),
        "count": str(1 + len(kept)),
        "quiet": line(2, "ctx.set_materialize_grads(False)  # None where nothing moves", held),
        "no_gradient": line(2, f"if {dy} is None:", held)
        + line(3, f"return {several(['None'] * len(every))}", held),
        "mark": line(2, f"ctx.mark_non_differentiable({', '.join(kept)})", kept),
        "keep": "".join(line(2, f"ctx.{a} = {a}") for a in numbers),
        "fetch": fetch(every),
        "fetch_given": fetch(every if kept else given),
        "as_tensors": "".join(
            line(1, f"{a} = torch.as_tensor({a}, dtype=torch.float64)")
            for a in chosen
            if a not in arrays
        ),
    }
    if framework == "numpy":
        texts["typed_output"] = ", ".join([output, *kept])
        texts["typed_gradients"] = ", ".join(results.values())
        alone = all({*axis} <= {*r.axes} for r in backward.results)
        texts["summed"] = "" if alone else "; those of what rows share are summed over them"
    elif framework == "torch":
        places = [k for k, a in enumerate(every) if a in fixed]
        texts["typed_output"] = several([output, *kept])
        texts["typed_gradients"] = several(in_order)
        texts["run_tangent"] = f"{', '.join(moves)} = {tangent}"
        texts["typed_tangent"] = several([output_dot, *("None" for _ in kept)])
        texts["again"] = line(2, "if torch.is_grad_enabled():  # to go on from here", kept)
        first = label if label in given else "_"
        texts["again"] += line(3, f"{', '.join([first, *kept])} = {call('_forward', every)}", kept)
        texts["refuse_gradients"] = line(
            2, f"if any(ctx.needs_input_grad[k] for k in {places}):", fixed
        ) + line(3, complaint, fixed)
        moving = ", ".join(dots[a] for a in fixed)
        texts["refuse_tangents"] = line(
            2, f"if any(t is not None for t in [{moving}]):", fixed
        ) + line(3, complaint, fixed)
        texts["primals"] = line(
            3, f"{several(tensors)} = (unpack_dual(t).primal for t in {bracketed(tensors)})"
        )
        texts["zeros"] = "".join(
            line(3, f"{dots[a]} = torch.zeros_like({a}) if {dots[a]} is None else {dots[a]}")
            for a in chosen
        )
    else:
        texts["typed_output"] = output
        texts["run_tangent"] = f"{', '.join([label, *moves])} = {tangent}"
        texts["typed_tangent"] = f"{output}, {output_dot}"
        moving = ", ".join(dots[a] for a in fixed)
        texts["refuse_tangents"] = line(
            1, f"if not all(isinstance(t, SymbolicZero) for t in [{moving}]):", fixed
        ) + line(2, complaint, fixed)
        texts["zeros"] = "".join(
            line(1, f"if isinstance({dots[a]}, SymbolicZero):")
            + line(2, f"{dots[a]} = jnp.zeros_like({a})")
            for a in chosen
        )
    return texts


def several(names: Iterable[str]) -> str:
    """Return names as what a tuple is unpacked into, or as what is returned as one."""
    names = [*names]
    return f"({names[0]},)" if len(names) == 1 else ", ".join(names)


def bracketed(names: Iterable[str]) -> str:
    """Return a tuple in parentheses."""
    return f"({several(names).strip('()')})"


def line(depth: int, text: str, when: object = True) -> str:
    """Return an indented line, or nothing."""
    return "    " * depth + text + "\n" if when else ""
