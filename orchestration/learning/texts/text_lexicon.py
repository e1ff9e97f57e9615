"""Word lists behind the text features: small, readable, English, made for this project.

Here: words in small letters, with the inflections that occur; a list is a frozenset, so that a look-up is fast.
Not here: how a list becomes a number (text_features). Words that are as often neutral as toned are left out.
"""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


FIRST_PERSON = _words("i i'd i'll i'm i've me mine my myself our ours ourselves us we we'd we'll we're we've")
SECOND_PERSON = _words("you you'd you'll you're you've your yours yourself yourselves")
HE_SHE = _words("he he'd he'll he's her hers herself him himself his she she'd she'll she's")
QUESTION_WORDS = _words("how how's what what's when where which who who's whose why")
FORWARD = _words("here here's it's that's there's these this those")
NEGATION = _words("cannot neither never no nobody none nor not nothing without")
ABSOLUTE = _words(
    "all always any anyone best biggest completely entire ever every everybody everyone everything everywhere "
    "exactly first forever greatest last least literally most only perfectly smallest totally ultimate whole "
    "worst"
)
TIME = _words(
    "ago day days decade decades finally hour hours immediately instant instantly minute minutes moment month "
    "months night now second seconds soon suddenly today tomorrow tonight week weeks year years yesterday"
)
CURIOSITY = _words(
    "actually apparently awkward behind believe bizarre clever curious discover discovered ends expect expected "
    "face figured finds found guess happen happened happening happens hidden imagine inside knew know learn "
    "learned look looks meet might mind mystery odd probably real really reason reasons remember reveal revealed "
    "reveals says secret secrets see seen simple something story strange supposed surprise surprised surprising "
    "surprisingly tells thing things think thought thoughts trick truth try turned turns unbelievable unexpected "
    "unless until unusual wait watch weird wonder wow"
)
PEOPLE = _words(
    "actor artist babies baby boy boyfriend boys brother child children cop cops couple dad daughter doctor "
    "doctors dude families family father fathers folks friend friends girl girlfriend girls grandma grandpa guy "
    "guys husband kid kids ladies lady man men mom moms mother mothers neighbor neighbour nurse parent parents "
    "people person police president reporter scientist scientists sister soldier soldiers someone son student "
    "students teacher teachers teen teenager veteran wife woman women worker workers"
)
FUNCTION_WORDS = _words(
    "a about after again against all am an and any are as at be because been before being below between both but "
    "by can could did do does doing don't down during each few for from further had has have having he he's her "
    "here hers herself him himself his how i i'm if in into is isn't it it's its itself just me more most my "
    "myself no nor not now of off on once only or other our ours ourselves out over own same she she's should so "
    "some such than that that's the their theirs them themselves then there these they they're this those through "
    "to too under until up very was we we're were what when where which while who whom why will with would you "
    "you're your yours yourself yourselves"
)
NEGATIVE = _words(
    "abandoned abuse abused abuses abusive accident accused addict addicted addiction afraid aggressive alarming "
    "alone anger angry annoyed annoying anxiety anxious appalled appalling arrest arrested ashamed assault "
    "assaulted attack attacked attacking attacks awful bad ban bankrupt banned beaten betrayed bitter blame "
    "blamed bleak bleeding bomb bombs boring broke broken brutal bullied bullies bully bullying burden burned "
    "bury cancer catastrophe chaos cheat cheated collapse complain complaining complaint complaints confused "
    "corrupt corruption crash crazy creepy cried crime crimes criminal criminals crisis critics cruel cruelty cry "
    "crying damage damaged damn danger dangerous dead deadly death deaths debt deceive defeat defeated defective "
    "denied depressed depressing depression despair desperate destroy destroyed destroying destruction died dies "
    "difficult dirty disappointed disappointing disappointment disaster disasters discriminated discrimination "
    "disease diseases disgusted disgusting dishonest disrespect disturbing domestic doom dread dreadful drown "
    "drowning dumb dying embarrassed embarrassing enemies enemy epidemic error evil excuse excuses explode "
    "exploded exploitation exploited explosion fail failed failing fails failure failures fake fatal fault fear "
    "feared fears fight fighting filthy fired flaw flawed flee fool foolish forced forgotten fraud freaked "
    "freaking frightened frightening frustrated frustrating furious garbage grief grim guilt guilty gun guns "
    "harass harassed harassment harm harmed harmful harsh hate hated haters hates hatred haunting heartbreaking "
    "heartbroken hell helpless hideous homeless homophobia homophobic hopeless horrible horrific horrified "
    "horrifying horror hostile humiliated humiliating hunger hungry hurt hurting hurts hypocrisy hypocrite idiot "
    "idiots ignorance ignorant ignore ignored ill illegal illness inferior inhumane injured injury injustice "
    "insane insult insulted insulting jail jerk jerks junk kill killed killer killing kills lack lame lazy leak "
    "liar liars lie lied lies lonely lose loser losers loses losing loss losses lost mad mess messed miserable "
    "misery misleading missed missing mistake mistakes monster monsters mourn murder murdered nasty negative "
    "neglect nervous nightmare offended offensive outrage outraged outrageous overdose overwhelmed pain painful "
    "panic pathetic penalty pissed plague poison poisoned poisoning pollution poor poverty prejudice prison "
    "problem problems protest racism racist racists rage rape raped rapist regret regrets reject rejected revenge "
    "ridiculous riot risk risks risky rob robbed rotten rude ruin ruined ruining ruins sad sadly sadness scam "
    "scandal scandalous scare scared scary screaming screwed selfish sexism sexist shame shamed shameful shaming "
    "shocked shocking shoot shooting sick sickening slave slavery slow sorry stabbed starving steal stealing "
    "stereotype stereotypes stereotyping stolen stress stressed struggle struggled struggles struggling stuck "
    "stupid suck sucks suffer suffered suffering suicidal suicide tear tears terrible terrified terrifying terror "
    "terrorism terrorist terrorists threat threaten threatened threats toxic tragedy tragic trapped trash trauma "
    "traumatic trouble troubled ugly unable unacceptable unfair unhappy unhealthy unjust unsafe upset upsetting "
    "useless vicious victim victims violence violent war warning wars waste wasted weak wicked worried worries "
    "worry worse worst wound wounded wrong yell yelled yelling"
)
POSITIVE = _words(
    "accomplish accomplished accomplishment achieve achieved achievement admire adorable adore advantage "
    "affordable amaze amazed amazing amazingly appreciate appreciated authentic award awesome awestruck beautiful "
    "beautifully beauty beloved benefit benefits best better bless blessed bliss bold bonus brave bravery "
    "breathtaking bright brilliant calm care cared cares caring celebrate celebrated celebrates celebrating "
    "celebration champion charm charming cheer cheerful cheers classy clean comfort comfortable comforting "
    "compassion confidence confident congratulations cool courage courageous cozy creative creativity crisp cure "
    "cured cute dazzling deal delicious delight delighted delightful dream dreams durable dynamic eager easier "
    "easily easy effective elegant empower empowered empowering encourage encouraged encouraging energetic energy "
    "enjoy enjoyable enjoyed enjoying enjoys enthusiastic epic excellent excited excitement exciting "
    "extraordinary fabulous faithful fantastic fascinating favorite favorites favourite fearless fine flavorful "
    "fond free freedom fresh friendly fulfilled fun funniest funny generosity generous genius gentle genuine gift "
    "gifts giggle glad glorious glory good goodness gorgeous grace graceful grateful gratitude great greatest "
    "happier happiest happily happiness happy heal healed healing health healthier healthy heartwarming helped "
    "helpful helping helps hero heroes heroic hilarious honest honesty honor honored hooray hope hopeful hopes "
    "hug hugs ideal impress impressed impressive improve improved improvement improves incredible incredibly "
    "innovative inspiration inspire inspired inspires inspiring inviting joy joyful joyous justice keen kindness "
    "kiss laugh laughed laughing laughs laughter legend legendary lively lovable love loved lovely lover lovers "
    "loves loving lucky luxurious luxury magic magical magnificent marvelous masterpiece memorable miracle "
    "miraculous neat nice nourishing nutritious outstanding overjoyed passion passionate peace peaceful perfect "
    "perfection perfectly playful pleasant pleased pleasure positive powerful praise precious premium pride prize "
    "progress protect protected protects proud proudly pure quality rave relax relaxed relaxing reliable relief "
    "remarkable rescue rescued respect respected reward rewarding rich safe safely safety satisfied satisfying "
    "save saved saves saving savings savory sensational shine shining silky simple sincere smart smarter smartest "
    "smile smiled smiles smiling smooth soft solution solutions solve solved soothing sparkling special "
    "spectacular splendid strength strong stronger stunning sublime succeed succeeded success successful sunny "
    "super superb superior support supported supportive supports sweet sweetest talent talented tasty tender "
    "terrific thank thankful thanks thrilled thrilling thrive treasure treat triumph triumphant trust trusted "
    "uplifting useful valuable value vibrant victory warm warmth welcome welcomed wholesome win winner winners "
    "winning wins wisdom wise won wonderful wonderfully worth worthy wow yay yum yummy"
)
