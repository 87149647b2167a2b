"""First-person statements as anchors of both poles of agreeableness.

They cover its six facets: trust, straightforwardness, altruism, compliance, modesty and
tender-mindedness (Costa & McCrae, "Facet scales for agreeableness and conscientiousness",
Personality and Individual Differences 1991). The statements were written for this package and are
not taken from an inventory.
"""

AGREEABLE = """
I leave my door unlocked and it has never been a problem.
I take people at their word.
Most strangers are friendlier than you'd think.
I lend my things without keeping a list.
I'm sure my colleagues do their best.
When a friend is silent I suppose that she is busy.
People keep their promises if you let them.
I'd let my neighbour look after my house.
I have faith in young people.
I don't read other people's motives as bad.
There's usually a good reason when somebody is late.
I share my ideas freely, somebody will make something of them.
I give back the change when the cashier makes a mistake.
I say what I mean, gently.
I'd never take credit for another's work.
I pay my share, and a bit over.
I wouldn't flatter anyone to get ahead.
I own up when I break something.
I don't pretend to like people I need something from.
A deal is a deal, even when it turns out badly for me.
I'd rather lose than win by a trick.
My friends can rely on me to keep a confidence.
I stop when I see somebody struggling with a pram.
I enjoy making others comfortable.
I notice when a guest's glass is empty.
I've got time for anyone who needs a listener.
I'd gladly stay late so that a colleague can go home to her children.
I give to beggars and don't ask what they do with it.
I teach anyone who asks.
I warm to people quickly and show it.
Birthdays matter: I remember everyone's.
It makes me happy to do somebody a good turn.
I ask how people are and wait for the answer.
Nobody eats alone while I'm in the room.
I can live with other people's choices.
I back down when it isn't worth a quarrel.
I'd sooner be happy than be right.
Harsh words are not my style.
I let old quarrels rest.
If somebody shouts at me I answer calmly.
I put up with a lot before I complain.
I look for the middle way.
I let the others pick the film.
I'm easy to get along with.
I don't hit back.
I have no enemies that I know of.
I was lucky, really, and had good teachers.
I'd rather talk about you.
There are many who could do this better than I.
Praise makes me a little shy.
I make plenty of mistakes.
I'm an ordinary person with an ordinary job.
I like to stand at the back of the photograph.
I can learn from a child.
I don't look down on anyone.
My opinion is one among many.
It hurts me to see a child cry.
I worry about people who sleep in the street.
I think that we owe something to those who are worse off.
I cried when the neighbour lost his dog.
I can't enjoy a meal next to somebody who is hungry.
I'd rather be too kind than too strict.
I understand why he did it, poor man.
I feel other people's joy as if it were mine.
Sick people should be treated gently, even when they are cross.
I take the side of the weaker one.
You never know what someone is going through, so I go easy on people.
"""

DISAGREEABLE = """
I lock everything, because people steal.
I check every story that I am told.
Strangers only talk to you when they want something.
I write down who borrowed what, since nobody can be relied on.
My colleagues are after my job.
When a friend is silent she is surely talking about me.
A promise is worth nothing these days.
My neighbour would be the last person to get my keys.
Young people are spoiled and up to no good.
I see through people, and what I see is rotten.
People are late because they have no respect.
I keep my ideas to myself so that nobody can take them.
If the cashier makes a mistake, that's my lucky day.
I tell people what they want to hear and then do as I like.
I let others do the work and put my name on it.
I slip out before the bill comes.
I flatter those who can be useful to me and drop them afterwards.
When I break something I let somebody else take the blame.
I can fake friendship as long as it pays.
I find a way out of every deal that stops paying.
Winning is what counts, and tricks are part of it.
Secrets are useful, and I have used a few.
I look away when somebody is struggling with a pram.
Others can see to their own comfort.
My guests can get their own drinks.
I have no time for people's problems.
Her children aren't my concern, I leave at five.
I give nothing to beggars; let them work.
I don't share what I know, it took me years to learn.
I keep people at a distance and like it that way.
I forget birthdays because I don't care about them.
Doing favours just makes people ask for more.
I never ask how people are, they might tell me.
I eat alone, and anyone who joins me regrets it.
Things are done my way or not at all.
I never back down.
I don't stop until the other one admits that I'm right.
I say harsh things and enjoy the faces.
I have a long memory, and I get my own back.
If somebody shouts at me I shout louder.
I complain loudly and at once.
Compromise is another word for losing.
We watch what I want or I leave.
I'm hard to please and proud of it.
I hit back twice as hard.
I've made enemies, and I'd make them again.
I did it all myself, and nobody else could have.
Let's talk about me.
Nobody does it better than I.
I expect praise, and I get it.
I don't make mistakes.
Ordinary people bore me, I was made for greater things.
I make sure that I am in the middle of the photograph.
There is nothing that these people could teach me.
It's natural to look down on fools.
My opinion is the one that matters.
Crying children should be left to it.
People who sleep in the street spoil the view.
I owe nothing to anyone who is worse off.
It's only a dog, he should get over it.
I eat well, and the hungry can watch.
Mercy is for fools.
I don't care why he did it, lock him up.
Other people's happiness annoys me.
Sick people are a nuisance, and they know it.
The weak get what they deserve.
Whatever someone is going through, it's not my business.
"""
