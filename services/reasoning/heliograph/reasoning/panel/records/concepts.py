"""Which concepts of US-GAAP make a line item, the most usual first."""

FLOWS: dict[str, tuple[str, ...]] = {
    "revenue": (
        "RevenueFromContractWithCustomerExcludingAssessedTax",
        "Revenues",
        "SalesRevenueNet",
        "RevenueFromContractWithCustomerIncludingAssessedTax",
    ),
    "gross_profit": ("GrossProfit",),
    "operating_income": ("OperatingIncomeLoss",),
    "pretax_income": (
        "IncomeLossFromContinuingOperationsBeforeIncomeTaxesExtraordinaryItemsNoncontrollingInterest",
        "IncomeLossFromContinuingOperationsBeforeIncomeTaxesMinorityInterestAndIncomeLossFromEquityMethodInvestments",
    ),
    "income_tax": ("IncomeTaxExpenseBenefit",),
    "net_income": ("NetIncomeLoss", "ProfitLoss"),
    "earnings_per_share": (
        "EarningsPerShareDiluted",
        "EarningsPerShareBasicAndDiluted",
        "EarningsPerShareBasic",
    ),
    "research_and_development": ("ResearchAndDevelopmentExpense",),
    "interest_expense": ("InterestExpense", "InterestExpenseNonoperating", "InterestExpenseDebt"),
    "depreciation_and_amortization": (
        "DepreciationDepletionAndAmortization",
        "DepreciationAmortizationAndAccretionNet",
        "DepreciationAndAmortization",
    ),
    "operating_cash_flow": (
        "NetCashProvidedByUsedInOperatingActivities",
        "NetCashProvidedByUsedInOperatingActivitiesContinuingOperations",
    ),
    "dividends": ("PaymentsOfDividendsCommonStock", "PaymentsOfDividends", "DividendsCash"),
    "buybacks": ("PaymentsForRepurchaseOfCommonStock",),
    "share_sales": ("ProceedsFromIssuanceOfCommonStock",),
}
"""Over a time: money that flowed, or was earned."""

CAPITAL_EXPENDITURE = (
    ("PaymentsToAcquirePropertyPlantAndEquipment", "PaymentsToAcquireProductiveAssets"),
    ("PaymentsToDevelopSoftware",),
)
"""Its parts are added."""

COST_OF_REVENUE = ("CostOfRevenue", "CostOfGoodsAndServicesSold", "CostOfGoodsSold")

INSTANTS: dict[str, tuple[str, ...]] = {
    "cash": (
        "CashAndCashEquivalentsAtCarryingValue",
        "CashCashEquivalentsRestrictedCashAndRestrictedCashEquivalents",
    ),
    "short_term_investments": (
        "ShortTermInvestments",
        "MarketableSecuritiesCurrent",
        "AvailableForSaleSecuritiesDebtSecuritiesCurrent",
    ),
    "current_assets": ("AssetsCurrent",),
    "current_liabilities": ("LiabilitiesCurrent",),
    "total_assets": ("Assets",),
    "total_liabilities": ("Liabilities",),
    "equity": (
        "StockholdersEquity",
        "StockholdersEquityIncludingPortionAttributableToNoncontrollingInterest",
    ),
}
"""On a day: what the balance sheet holds."""

LONG_TERM_DEBT = ("LongTermDebt",)
LONG_TERM_DEBT_PARTS = (
    "LongTermDebtNoncurrent",
    "LongTermDebtCurrent",
    "ConvertibleDebtNoncurrent",
    "ConvertibleDebtCurrent",
)
SHORT_TERM_DEBT_PARTS = ("ShortTermBorrowings", "CommercialPaper")

COVER_SHARES = "EntityCommonStockSharesOutstanding"
BALANCE_SHARES = "CommonStockSharesOutstanding"
AVERAGE_SHARES = (
    "WeightedAverageNumberOfDilutedSharesOutstanding",
    "WeightedAverageNumberOfShareOutstandingBasicAndDiluted",
)

ALL: frozenset[str] = frozenset(
    concept
    for group in (
        *FLOWS.values(),
        *CAPITAL_EXPENDITURE,
        COST_OF_REVENUE,
        *INSTANTS.values(),
        LONG_TERM_DEBT,
        LONG_TERM_DEBT_PARTS,
        SHORT_TERM_DEBT_PARTS,
        (COVER_SHARES, BALANCE_SHARES),
        AVERAGE_SHARES,
    )
    for concept in group
)
"""Every concept that is read; the rest of a company's facts is passed over."""
