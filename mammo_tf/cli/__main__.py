"""`python -m mammo_tf.cli` is `mammo-tf`."""

from mammo_tf.cli.main import main

if __name__ == "__main__":
    main()
