"""`mammo-tf weights import`: a checkpoint of PyTorch becomes a file of Keras."""

import click

from mammo_tf.cli.options import UserPath
from mammo_tf.errors import UserError


@click.command("import")
@click.argument("network", type=click.Choice(["glam"]))
@click.argument("checkpoint", type=UserPath(exists=True, dir_okay=False))
@click.argument("out", type=UserPath(dir_okay=False))
def import_weights(network, checkpoint, out):
    """Write NETWORK with the weights of a PyTorch CHECKPOINT as the Keras file OUT (.keras).

    The checkpoint is read as data: PyTorch is not needed, and nothing in the file runs. Weights
    that are missing or of another network are told by name, and nothing is written then.

    \b
      mammo-tf weights import glam sep_0.ckpt glam.keras
    """
    from mammo_tf.files import atomic_path

    if not str(out).endswith(".keras"):
        raise UserError(f"OUT must end in .keras. Received: {out}.")
    from mammo_tf.models.torch_weights import read_state_dict

    arrays = read_state_dict(checkpoint)
    from mammo_tf.quiet import import_tensorflow

    import_tensorflow()
    from mammo_tf.models.glam import GLAM, load_torch_state_dict

    model = GLAM()
    for note in load_torch_state_dict(model, arrays):
        click.echo(note, err=True)
    with atomic_path(out) as temporary:
        model.save(temporary)
    click.echo(out)
