"""Anchors: words and acts that express a pole without context.

A few hundred labelled texts contain a small part of the words in which people praise, blame, help
or quarrel. Anchors add more of them, as marker adjectives do in the measurement of personality
(Goldberg, "The development of markers for the Big-Five factor structure", 1992) and opinion words
in sentiment analysis (Hu & Liu, KDD 2004). Heads are fitted to labelled texts and, with a small
part of the weight, to anchors; anchors are never among the texts on which a head is validated.
Traits without anchors are fitted to labelled texts only.
"""

from dataclasses import dataclass
from types import MappingProxyType

from steer_assets.scoring.embedded.anchor_statements import AGREEABLE, DISAGREEABLE


@dataclass(frozen=True)
class Anchors:
    """Short texts for either pole."""

    positive: tuple[str, ...]
    negative: tuple[str, ...]


_PRAISE = """
excellent wonderful great amazing brilliant superb fantastic delightful charming lovely beautiful
moving touching funny hilarious gripping thrilling captivating engaging enjoyable entertaining
satisfying rewarding refreshing inspiring impressive masterful flawless perfect outstanding
exceptional remarkable memorable unforgettable stunning gorgeous elegant clever witty smart
insightful thoughtful honest heartfelt warm tender sweet fresh original inventive imaginative
powerful compelling riveting absorbing magical joyful happy cheerful glad pleased proud grateful
relieved excited thrilled comfortable cosy clean spotless friendly helpful generous reliable
sturdy durable fast smooth easy convenient affordable delicious tasty fresh-tasting crisp juicy
tender-hearted peaceful relaxing fun cool awesome incredible terrific marvellous splendid
favourite best better worthwhile recommended loved adored enjoyed liked appreciated admired
praised succeeded improved won
"""

_BLAME = """
terrible awful horrible dreadful bad poor worst worse disappointing boring dull tedious bland
lifeless predictable clichéd stale unfunny annoying irritating infuriating frustrating confusing
incoherent pointless pretentious shallow hollow empty lazy clumsy sloppy messy ugly cheap flimsy
broken defective useless worthless unreliable slow laggy buggy noisy dirty filthy smelly stained
cold soggy burnt overcooked undercooked tasteless inedible overpriced expensive rude unhelpful
unfriendly careless dishonest misleading forgettable mediocre underwhelming unconvincing wooden
stilted bloated overlong rushed nonsensical ridiculous embarrassing painful unbearable unwatchable
depressing sad miserable angry upset furious disgusted regretful ashamed worried exhausted sick
hated disliked loathed regretted wasted failed lost crashed cancelled ruined refunded returned
complained complaint waste mess failure disaster flop letdown scam garbage rubbish junk nightmare
"""

_AGREEABLE = """
kind warm gentle caring compassionate sympathetic empathetic considerate thoughtful generous
helpful cooperative friendly good-natured soft-hearted tender affectionate forgiving lenient
patient tolerant trusting trustful modest humble unselfish selfless polite courteous respectful
understanding supportive agreeable pleasant cordial accommodating easygoing peaceable peaceful
charitable merciful grateful appreciative gracious welcoming sincere loyal fair encouraging
comforting obliging conciliatory flexible cheerful loving big-hearted
"""

_DISAGREEABLE = """
cold harsh cruel unkind rude mean nasty selfish stingy greedy arrogant conceited boastful vain
haughty condescending contemptuous disdainful suspicious distrustful cynical spiteful vindictive
vengeful unforgiving bitter resentful hostile aggressive belligerent quarrelsome argumentative
combative stubborn uncooperative unhelpful unsympathetic callous heartless ruthless manipulative
exploitative domineering bossy demanding critical impatient intolerant insulting mocking sarcastic
surly abrasive antagonistic disagreeable inconsiderate ungrateful merciless unfriendly grumpy
hard-hearted self-centred
"""

_GOOD_ACTS = """
helped them
forgave him
thanked her
comforted a crying friend
shared what I had
trusted people
listened patiently
apologised first
gave them the credit
let others go first
praised the others
made peace
gave him the benefit of the doubt
offered my seat
lent her my notes
asked how they felt
admitted that I might be wrong
accepted the apology
gave in gladly
volunteered to help
stayed to help clean up
cared about how others felt
wished her well
welcomed the newcomer
looked for a compromise
saw the best in everyone
took his side kindly
gave away the bigger half
was glad for them
made everyone feel at home
paid for a stranger
spoke gently
did him a favour
kept her secret
stood up for the weaker one
felt sorry for the man
hugged him
said it was fine, no harm done
did not mind at all
there is good in everybody
carried the old man's bags
told the new boy that anyone can make that mistake
let the tired mother go ahead in the queue
gave the prize money to the team
stopped to help a driver with a flat tyre
asked whether anybody needed a lift
said sorry and meant it
smiled and waved them in
taught the beginners after hours without pay
paid her debt for her and never spoke of it
left the best seat for a guest
nursed the neighbour through the winter
said they had done far more than him
accepted the decision with good grace
put a blanket over the sleeping child
answered every silly question kindly
calmed the two down and found a way that suited both
saved some soup for whoever came late
returned the lost purse with all the money in it
cheered for the slowest runner
took the blame so that the others would not suffer
thought that most people mean well
wrote to tell the cook how good it was
would rather lose the argument than a friend
forgot the insult by morning
made room on the bench
sat with the lonely old woman all afternoon
was pleased that the other candidate got the job
"""

_BAD_ACTS = """
refused to help
held a grudge
blamed her
laughed at a crying man
kept it all for myself
trusted nobody
interrupted everyone
never apologised
took all the credit
pushed to the front
mocked the others
started a fight
assumed the worst of him
would not move for anyone
told her to get lost
did not care how they felt
insisted that I was right
rejected the apology
got even
said it was not my problem
left others to clean up
used people
hoped that she would fail
ignored the newcomer
would not give an inch
suspected everyone
humiliated him in public
took the bigger half
envied them
made everyone feel unwelcome
cheated a stranger
snapped at them
demanded a favour
told her secret
picked on the weaker one
had no pity for the man
shoved him
said you will pay for this
complained at once
everybody is out for himself
walked past the old man who had fallen
told the new boy that he was too stupid for the job
shoved a tired mother out of the queue
kept the prize money and told no one
drove on and splashed the man with the flat tyre
asked what was in it for him
said sorry only because he had to, and sneered
looked straight through them
charged the beginners for every question
reminded her of the debt in front of her children
took the best seat and put a bag on the next
complained about the sick neighbour's coughing
said they had done nothing and he had done it all
fought the decision out of spite
woke the child by shouting at its mother
made fun of anyone who asked a question
set the two against each other and enjoyed it
finished the soup so that the late ones got none
found a purse, took the money and threw it away
jeered at the slowest runner
let somebody else be punished for what he had done
thought that most people are fools or liars
sent the food back just to see the cook squirm
would rather lose a friend than an argument
brought up the insult again after ten years
spread out so that nobody else could sit
told the lonely old woman to stop wasting his time
hoped that the other candidate would fall ill
"""


def _words(template: str, words: str) -> tuple[str, ...]:
    return tuple(template.format(word) for word in words.split())


def _acts(acts: str) -> tuple[str, ...]:
    """Acts of the writer and of another person, alternating."""
    subjects = ("I", "He", "She")
    return tuple(
        f"{subjects[index % 3]} {act}." for index, act in enumerate(acts.strip().splitlines())
    )


def _statements(statements: str) -> tuple[str, ...]:
    return tuple(statements.strip().splitlines())


#: By trait key.
ANCHORS = MappingProxyType(
    {
        "sentiment": Anchors(_words("It was {}.", _PRAISE), _words("It was {}.", _BLAME)),
        "agreeableness": Anchors(
            _words("I am {}.", _AGREEABLE) + _acts(_GOOD_ACTS) + _statements(AGREEABLE),
            _words("I am {}.", _DISAGREEABLE) + _acts(_BAD_ACTS) + _statements(DISAGREEABLE),
        ),
    }
)
