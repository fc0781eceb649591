------------------------------- MODULE Tcrp -------------------------------
(* The three machines of TCRP, and a small chat in which they run: a host    *)
(* who creates one room, guests who join it, texts, and datagrams that come  *)
(* in any order, get lost or come twice. Written by `chat-sim spec --format  *)
(* tla` from the tables that the programs run. There are no bytes and no     *)
(* clocks: a silence ends somebody when nothing of theirs is under way.      *)

EXTENDS Naturals, TLC

CONSTANTS Host, Guests, Texts, Drops, Duplicates

Users == {Host} \cup Guests
Symmetry == Permutations(Guests)

(* --- the machines: rows of state, event, next state ---------------------- *)

@MACHINES@

Takes(rows, state, event) == \E row \in rows : row[1] = state /\ row[2] = event
To(rows, state, event) == (CHOOSE row \in rows : row[1] = state /\ row[2] = event)[3]
Session(state, event) == To(SessionRows, state, event)

(* --- the chat ------------------------------------------------------------ *)

VARIABLES
    handshake,  \* by user: their connection to the server
    session,    \* by user: the server's view of their session
    client,     \* by user: the client's own view of it
    room,
    seen,       \* by user: the texts that were shown to them
    net,        \* datagrams under way: <<kind, user, number>>
    said,       \* how many texts were said
    drops, duplicates  \* how often the network still may

vars == <<handshake, session, client, room, seen, net, said, drops, duplicates>>
budgets == <<said, drops, duplicates>>

Living == {"tokened", "in-room"}
ToServer == {"enter", "text", "leave"}
FromUser(u) == {m \in net : m[2] = u /\ m[1] \in ToServer}
About(u) == {m \in net : m[2] = u}

Init ==
    /\ handshake = [u \in Users |-> HandshakeInitial]
    /\ session = [u \in Users |-> SessionInitial]
    /\ client = [u \in Users |-> SessionInitial]
    /\ room = RoomInitial
    /\ seen = [u \in Users |-> {}]
    /\ net = {}
    /\ said = 0
    /\ drops = Drops
    /\ duplicates = Duplicates

Requests(u) ==
    /\ handshake[u] = HandshakeInitial
    /\ handshake' = [handshake EXCEPT ![u] = To(HandshakeRows, @, "requested")]
    /\ UNCHANGED <<session, client, room, seen, net, budgets>>

Answers(u) ==
    /\ handshake[u] = "requested"
    /\ IF room = IF u = Host THEN "vacant" ELSE "open"
       THEN /\ handshake' = [handshake EXCEPT ![u] = To(HandshakeRows, @, "accepted")]
            /\ session' = [session EXCEPT ![u] = Session(@, "granted")]
            /\ room' = To(RoomRows, room, IF u = Host THEN "created" ELSE "joined")
       ELSE /\ handshake' = [handshake EXCEPT ![u] = To(HandshakeRows, @, "refused")]
            /\ UNCHANGED <<session, room>>
    /\ UNCHANGED <<client, seen, net, budgets>>

Completes(u) ==
    /\ handshake[u] = "accepted"
    /\ handshake' = [handshake EXCEPT ![u] = To(HandshakeRows, @, "completed")]
    /\ client' = [client EXCEPT ![u] = Session(Session(@, "granted"), "entered")]
    /\ net' = net \cup {<<"enter", u, 0>>}
    /\ UNCHANGED <<session, room, seen, budgets>>

EntersAgain(u) ==
    /\ client[u] = "in-room"
    /\ session[u] = "tokened"
    /\ FromUser(u) = {}
    /\ net' = net \cup {<<"enter", u, 0>>}
    /\ UNCHANGED <<handshake, session, client, room, seen, budgets>>

Says(u) ==
    /\ client[u] = "in-room"
    /\ said < Texts
    /\ said' = said + 1
    /\ client' = [client EXCEPT ![u] = Session(@, "spoke")]
    /\ net' = net \cup {<<"text", u, said + 1>>}
    /\ UNCHANGED <<handshake, session, room, seen, drops, duplicates>>

Leaves(u) ==
    /\ client[u] = "in-room"
    /\ client' = [client EXCEPT ![u] = Session(@, "left")]
    /\ net' = net \cup {<<"leave", u, 0>>}
    /\ UNCHANGED <<handshake, session, room, seen, budgets>>

(* A session ends. If it is the host's, the room closes, and the others are told. *)
Ends(u, state, event, rest) ==
    IF u = Host
    THEN LET others == {v \in Guests : session[v] \in Living} IN
         /\ session' = [v \in Users |-> IF v = u THEN Session(state, event)
                                        ELSE IF v \in others THEN Session(session[v], "room_closed")
                                        ELSE session[v]]
         /\ room' = To(RoomRows, room, "host_gone")
         /\ net' = rest \cup {<<"closed", v, 0>> : v \in others}
    ELSE /\ session' = [session EXCEPT ![u] = Session(state, event)]
         /\ room' = To(RoomRows, room, "left")
         /\ net' = rest

(* What the server does with a datagram. The first valid one enters. *)
ServerHears(kind, u, number, rest) ==
    LET entered == IF session[u] = "tokened" THEN Session("tokened", "entered") ELSE session[u] IN
    /\ UNCHANGED <<handshake, client, seen>>
    /\ IF session[u] \notin Living
       THEN net' = rest /\ UNCHANGED <<session, room>>
       ELSE CASE kind = "enter" ->
                   /\ session' = [session EXCEPT ![u] = Session(entered, "spoke")]
                   /\ net' = rest
                   /\ UNCHANGED room
              [] kind = "text" ->
                   LET others == {v \in Users \ {u} : session[v] = "in-room"} IN
                   /\ session' = [v \in Users |-> IF v = u THEN Session(entered, "spoke")
                                                  ELSE IF v \in others THEN Session(session[v], "relayed")
                                                  ELSE session[v]]
                   /\ room' = To(RoomRows, room, "relayed")
                   /\ net' = rest \cup {<<"relay", v, number>> : v \in others}
              [] kind = "leave" -> Ends(u, entered, "left", rest)

(* What overtakes the completion waits for it. *)
ClientHears(kind, u, number, rest) ==
    /\ client[u] /= SessionInitial
    /\ net' = rest
    /\ IF client[u] = "in-room"
       THEN IF kind = "relay"
            THEN /\ client' = [client EXCEPT ![u] = Session(@, "relayed")]
                 /\ seen' = [seen EXCEPT ![u] = @ \cup {number}]
            ELSE client' = [client EXCEPT ![u] = Session(@, "room_closed")] /\ UNCHANGED seen
       ELSE UNCHANGED <<client, seen>>
    /\ UNCHANGED <<handshake, session, room>>

Hears(m, rest) == IF m[1] \in ToServer THEN ServerHears(m[1], m[2], m[3], rest)
                                       ELSE ClientHears(m[1], m[2], m[3], rest)

Arrives(m) == Hears(m, net \ {m}) /\ UNCHANGED budgets

ArrivesTwice(m) ==  \* once now, once later
    /\ duplicates > 0
    /\ duplicates' = duplicates - 1
    /\ Hears(m, net)
    /\ UNCHANGED <<said, drops>>

IsLost(m) ==
    /\ drops > 0
    /\ drops' = drops - 1
    /\ net' = net \ {m}
    /\ UNCHANGED <<handshake, session, client, room, seen, said, duplicates>>

(* The server's deadline for a client that has ended and whose leave word was lost. *)
Idles(u) ==
    /\ session[u] \in Living
    /\ client[u] \in SessionFinal
    /\ FromUser(u) = {}
    /\ Ends(u, session[u], "idled", net)
    /\ UNCHANGED <<handshake, client, seen, budgets>>

(* The client's deadline for a server that has forgotten it and whose notice was lost. *)
GivesUp(u) ==
    /\ client[u] = "in-room"
    /\ session[u] \in SessionFinal
    /\ About(u) = {}
    /\ client' = [client EXCEPT ![u] = Session(@, "idled")]
    /\ UNCHANGED <<handshake, session, room, seen, net, budgets>>

Drains ==
    /\ room = "closing"
    /\ room' = To(RoomRows, room, "drained")
    /\ UNCHANGED <<handshake, session, client, seen, net, budgets>>

ByWill == \E u \in Users : Requests(u) \/ Says(u) \/ Leaves(u)

ByItself ==
    \/ \E u \in Users : Answers(u) \/ Completes(u) \/ EntersAgain(u) \/ Idles(u) \/ GivesUp(u)
    \/ \E m \in net : Arrives(m) \/ ArrivesTwice(m) \/ IsLost(m)
    \/ Drains

Next == ByWill \/ ByItself

Spec == Init /\ [][Next]_vars /\ WF_vars(ByItself)

(* --- what always holds --------------------------------------------------- *)

StatesAreOfTheMachines ==
    /\ \A u \in Users : handshake[u] \in HandshakeStates /\ {session[u], client[u]} \subseteq SessionStates
    /\ room \in RoomStates

(* R-ROOM-2, R-ROOM-3 *)
OnlyOpenRoomsHaveMembers == room = "open" \/ \A u \in Users : session[u] \notin Living

(* R-TOK-2 *)
MembersWereGranted == \A u \in Users : session[u] \in Living => handshake[u] \in {"accepted", "completed"}

(* R-REL-1 *)
OnlySaidTextsAreSeen == \A u \in Users : seen[u] \subseteq 1..said

(* R-END-1: where nothing happens but by somebody's will, nobody waits for an answer, and client and server agree. *)
NobodyWaitsForEver ==
    ENABLED ByItself \/ /\ \A u \in Users : /\ handshake[u] \in HandshakeFinal \cup {HandshakeInitial}
                                            /\ session[u] /= "tokened"
                                            /\ (client[u] = "in-room") = (session[u] = "in-room")
                        /\ room /= "closing"
=============================================================================
