"""`mammo-tf recipe`: one command per paper."""

import click

from mammo_tf.cli.main import LazyGroup

RECIPES = {
    "compression": (
        "mammo_tf.recipes.compression.command:compression",
        "How far JPEG 2000 can go before a classifier suffers (Jo et al. 2021).",
    ),
    "mias": (
        "mammo_tf.recipes.mias.command:mias",
        "Classify and find lesions on mini-MIAS (Jin & Zheng).",
    ),
}


@click.group(cls=LazyGroup, lazy=RECIPES)
def recipe():
    """Reproduce a paper; `mammo-tf recipe NAME --help` says how."""


@recipe.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
def list_recipes(as_json):
    """List the recipes."""
    if as_json:
        import json

        click.echo(json.dumps({name: text for name, (_, text) in RECIPES.items()}, indent=2))
        return
    for name, (_, text) in RECIPES.items():
        click.echo(f"{name:<14} {text}")
