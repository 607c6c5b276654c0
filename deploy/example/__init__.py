"""A worked example: three made-up patient organisations, drawn from published figures.

    from deploy.example import write_example
    write_example(Path("DIR"))          # dictionary.toml, study.toml, one folder per organisation

All three hold people with ALS, with multiple sclerosis and with mood disorders, each in its own
mix. Nobody in the files exists. What is taken from a publication and what is chosen stands in
`deploy.example.figures`; the order of the draws is:

    people      one row per member: age, sex, region, condition, years since onset, first
                scores, consent
    symptoms    several rows per member
    treatments  up to three rows per member
    outcomes    one row per visit

The same seed gives the same bytes.
"""

from deploy.example.figures import ORGANISATIONS
from deploy.example.write import write_example

__all__ = ["ORGANISATIONS", "write_example"]
