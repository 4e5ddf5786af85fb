"""Portfolio and risk figures, pure: positions, prices and returns in, figures out.

Money is `Decimal`, rounded only where the exchange's steps ask for it and then always to the safe side. Statistics are
float64. docs/risk.md has the formula, unit, source and limits of each figure.
"""
