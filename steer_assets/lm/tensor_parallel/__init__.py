"""One model over several processes, each of which holds a part of every large weight."""
