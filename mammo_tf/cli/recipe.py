"""`mammo-tf recipe`: one command per paper."""

import click

from mammo_tf.cli.main import LazyGroup
from mammo_tf.found import recipes

RECIPES = {
    name: (f"mammo_tf.recipes.{name}.command:{name}", text) for name, text in recipes().items()
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
