"""Solvers of an objective of free numbers, and how they end.

`minimise` runs any of them, keeps what it has done and takes it up again. A solver is a rule for one
iteration, and any transformation of optax is one. What is minimised is an `AbstractPosterior`. It imports
`atomfit.structure` and `support`.
"""

from typing import TYPE_CHECKING

from atomfit.support.lazy import export

if TYPE_CHECKING:
    from atomfit.optimisation.ended import Ended as Ended
    from atomfit.optimisation.first_order import LBFGS as LBFGS
    from atomfit.optimisation.first_order import AbstractOptax as AbstractOptax
    from atomfit.optimisation.first_order import Adam as Adam
    from atomfit.optimisation.first_order import Evaluated as Evaluated
    from atomfit.optimisation.first_order import Optax as Optax
    from atomfit.optimisation.newton import Damping as Damping
    from atomfit.optimisation.newton import GaussNewton as GaussNewton
    from atomfit.optimisation.parameters import AbstractParametrisation as AbstractParametrisation
    from atomfit.optimisation.posterior import AbstractPosterior as AbstractPosterior
    from atomfit.optimisation.posterior import Evaluation as Evaluation
    from atomfit.optimisation.solvers import AbstractSolver as AbstractSolver
    from atomfit.optimisation.solvers import Minimum as Minimum
    from atomfit.optimisation.solvers import Step as Step
    from atomfit.optimisation.solvers import minimise as minimise
else:
    export(
        __name__,
        {
            "solvers": ["AbstractSolver", "Minimum", "minimise", "Step"],
            "posterior": ["AbstractPosterior", "Evaluation"],
            "parameters": ["AbstractParametrisation"],
            "newton": ["GaussNewton", "Damping"],
            "first_order": ["AbstractOptax", "Optax", "Adam", "LBFGS", "Evaluated"],
            "ended": ["Ended"],
        },
    )
