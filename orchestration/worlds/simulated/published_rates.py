"""What the simulated audience is calibrated on: published figures, each with its source.

Here: numbers with where they come from, how far they reach, and which of them are choices.
Not here: how an audience behaves (audience) and what a turn of it writes (sandbox).

Figures marked "computed" are recomputed from the public data by the tests. Figures marked "chosen" have no published
value for product texts of a shop; the neighbours they were chosen between are named.
"""

from math import log

CLICK_RATE = 0.04
"""Clicks per person who met a product text, for the median product. Chosen.

Neighbours: 2.1 % of all delivered e-mails of shops are clicked (Mailchimp, benchmarks by industry, March 2018);
an e-mail raised visits by 4.6 and 7.8 points over no e-mail (Hillstrom 2008, computed on half of the customers);
1.6 % of impressions of a headline on a news page were clicked (Upworthy Research Archive, computed).
"""

SUBJECT_SD = 0.4
"""Standard deviation of the log click rate between products. Chosen.

Neighbour: 0.69 between the stories of the Upworthy Research Archive (computed), which differ more than groceries do.
"""

VISITOR_SD = 0.3
"""Standard deviation of the log-odds of a click between visitors of a segment. Chosen; no published neighbour."""

LOYAL_OVER_NEW = 1.46
"""Visit rate of established customers over that of customers won within a year: 17.2 over 11.8 %.

Source: Hillstrom (2008), MineThatData e-mail challenge, columns `newbie` and `visit`. Computed.
"""

LOYAL_SHARE = 0.5
"""Share of established customers. Source: as `LOYAL_OVER_NEW`. Computed."""

PURCHASE_AFTER_CLICK = 0.066
"""Purchases per visit. Source: Hillstrom (2008), `conversion` among those with `visit` = 1. Computed."""

BASKET_MEDIAN = 17.6
BASKET_MEAN = 29.6
"""Median and mean value of a basket, in US dollars. Source: The Complete Journey, 84.51 deg. Computed.

The simulated value is lognormal with that median and mean; its log standard deviation follows from the two.
"""

WEEKDAY_BASKETS = (0.969, 0.944, 0.918, 0.943, 0.947, 1.115, 1.164)
"""Baskets per weekday over the mean, Monday to Sunday. Source: The Complete Journey, 84.51 deg. Computed."""

WEEK_SD = 0.036
"""Standard deviation of the log number of baskets between weeks. Source: as `WEEKDAY_BASKETS`. Computed."""

UPWORTHY_ARM_SD = 0.27
"""Standard deviation of the log click rate between the headlines of one story, net of sampling noise. Computed.

Source: Matias, Munger, Le Quere and Ebersole (2021), "The Upworthy Research Archive, a time series of 32,487
experiments in U.S. media", Scientific Data 8, 195. Arms with at least 10 clicks and 300 impressions; pooled variance
within tests less the binomial variance of a log rate.
"""

TEXT_EFFECT_SD = 0.16
"""Standard deviation of a text's effect on the log click rate of its subject. Chosen.

Neighbours: 0.27 for headlines that editors wrote to differ (`UPWORTHY_ARM_SD`); most changes to shop pages move
revenue by less than 1.2 % and the best kinds by 1.5 to 2.9 % (Browne and Jones 2017, "What works in e-commerce: a
meta-analysis of 6,700 online experiments"). A click on a text depends on that text more than a purchase on a page.
"""

OWN_EFFECT_SHARE = 0.35
"""Share of a text's effect variance that no surface feature explains. Chosen.

Neighbour: on the Upworthy archive, models of the text predict 64 % of the significant pairs of tests they have not
seen, so that much of what makes a text work is its own.
"""

NEGATIVE_WORD = log(1.023)
"""Effect of one negative word on the log click rate: 2.3 % more clicks.

Source: Robertson, Proellochs, Schwarzenegger, Parnamets, Van Bavel and Feuerriegel (2023), "Negativity drives online
news consumption", Nature Human Behaviour 7, 812-822.
"""

NONSENSE = -0.4
"""Added to the log-odds of a click by a text that readers surely find wrong. Chosen; no published value.

Neighbours: `UPWORTHY_ARM_SD`, of which it is one and a half; what is nonsense costs more than a dull headline.
"""

NONSENSE_COMPLAINTS = log(4)
"""Added to the log complaint rate by a text that readers surely find wrong. Chosen; no published value."""

COMPLAINT_RATE = 0.0004
"""Complaints per person who met a text.

Source: 0.01 to 0.04 % of delivered e-mails, by industry (Mailchimp, benchmarks by industry, May 2016).
"""

SHOUTING_COMPLAINTS = log(6)
"""Added to the log complaint rate by a text that shouts. Chosen, so that a guardrail has something to find."""
