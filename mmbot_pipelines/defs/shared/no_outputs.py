"""The IO manager of all jobs: no op passes a value on. Dagster only."""

import dagster as dg


class NoOutputs(dg.ConfigurableIOManager):
    """Stores nothing: no op passes a value on. Dagster's own manager takes a folder."""

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Do nothing."""

    def load_input(self, context: dg.InputContext) -> object:
        """Refuse.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("no op of ours has an input")
