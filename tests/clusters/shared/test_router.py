"""Requests for a cluster that another server has go there as they are, once; servers alone say for whom."""

import asyncio
import base64
import json
from typing import Any

import pytest
from clusters.rig import DOMAIN, MAPS, Identity, bearer, identity_of
from clusters.sharing import Asked, Peer, SharingRig, answers
from clusters.wire import Connection
from eventually import aeventually

from pilothouse.clusters.shared import peers
from pilothouse.clusters.shared.forwarder import AUTHENTICATED, Forwarder
from pilothouse.clusters.shared.metrics import SharedMetrics
from pilothouse.endpoints.streams.relay import Relay
from pilothouse.server.request import Request, Response

REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
KUBELET, ADMINS = "kube-apiserver-kubelet-client", "kubeadm:cluster-admins"


async def taken(rig: SharingRig, name: str = "one") -> str:
    """A cluster that the other server has; its UID."""
    await rig.make(name)
    await rig.directory.suspend(name)
    await rig.others.claim(rig.uid(name))
    return rig.uid(name)


def server_identity(rig: SharingRig) -> Identity:
    """The certificate by which servers know each other."""
    files = [rig.data / f"apiserver-kubelet-client.{kind}" for kind in ("crt", "key")]
    return identity_of(*(file.read_bytes() for file in files))


async def test_a_request_goes_on_as_it_is(rig: SharingRig) -> None:
    await taken(rig)
    identity = rig.identity("one")
    async with Peer(rig, answers(201, b'{"a": 1}', x_more="yes", connection="x-hop", x_hop="1")) as peer:
        answer = await rig.call(
            "POST",
            f"{MAPS}?fieldManager=%20x",
            {"b": 2},
            cluster="one",
            identity=identity,
            judged=True,
            authorization="Basic eA==",
            x_forwarded_for="10.0.0.1",
            connection="keep-alive, x-mine",
            x_mine="1",
            accept="application/yaml",
        )
    assert (answer.status, answer.body, answer.headers) == (201, {"a": 1}, {"x-more": "yes"})
    [asked] = peer.asked
    assert asked.line == f"POST /clusters/one{MAPS}?fieldManager=%20x HTTP/1.1"
    assert (json.loads(asked.body), asked.user) == ({"b": 2}, KUBELET)
    leaf = f":{base64.b64encode(identity.chain[0]).decode()}:"
    assert asked.all("client-cert") == [leaf] and asked.all("client-cert-chain") == []
    assert asked.all(peers.FORWARDED) == ["one 127.0.0.1 1"]
    assert asked.all("host") == [f"127.0.0.1:{rig.port}"]
    assert asked.all("x-forwarded-for") == ["10.0.0.1"]
    assert (asked.all("authorization"), asked.all("accept")) == (["Basic eA=="], ["application/yaml"])
    assert asked.all("x-mine") == asked.all("connection") == []


async def test_by_its_host_name(rig: SharingRig) -> None:
    await taken(rig)
    host = f"one.{DOMAIN}"
    async with Peer(rig, answers()) as peer:
        assert (await rig.send("GET", "/version", host=host)).status == 200
        assert (await rig.send("GET", "@x.example/version", host=host)).status == 200
    assert [asked.line for asked in peer.asked] == [
        "GET /version HTTP/1.1",
        "GET /@x.example/version HTTP/1.1",
    ]
    assert [asked.all("host") for asked in peer.asked] == [[host], [host]]


async def test_a_client_cannot_speak_for_servers(rig: SharingRig) -> None:
    """Headers of servers are dropped on the way, and mean nothing of a client with any certificate."""
    await taken(rig)
    leaf = f":{base64.b64encode(rig.identity('one').chain[0]).decode()}:"
    forged: Any = {"x_pilothouse_forwarded": "10.0.0.9 1", "client_cert": leaf, "client_cert_chain": leaf}
    async with Peer(rig, answers()) as peer:
        await rig.call("GET", MAPS, cluster="one", anonymous=True, **forged)
    [asked] = peer.asked
    assert asked.all(peers.FORWARDED) == ["one 127.0.0.1 1"]
    assert asked.all("client-cert") == asked.all("client-cert-chain") == []
    await rig.make("own")
    leaf = f":{base64.b64encode(rig.identity('own').chain[0]).decode()}:"
    for identity in (
        None,
        rig.identity("", KUBELET, ("system:masters",)),
        rig.identity("", KUBELET, ()),
        rig.identity("", "kubernetes-admin", (ADMINS,)),
        rig.identity("own", KUBELET, (ADMINS,)),
    ):
        headers: Any = forged | {"client_cert": leaf}
        answer = await rig.send("POST", f"/clusters/own{REVIEWS}", {}, identity=identity, **headers)
        if answer.status == 201:  # the last one is good in the cluster, as the user that it names
            assert answer.body["status"]["userInfo"]["username"] == KUBELET and identity is not None
        else:
            assert answer.status in (401, 403)
        assert AUTHENTICATED not in answer.headers


@pytest.mark.parametrize("header", sorted(peers.OWN_HEADERS))
def test_other_servers_do_not_get_headers_of_servers(header: str) -> None:
    """Kubelets and aggregated servers, which may be servers of this kind: what they get is a client's."""
    nothing: Any = None
    assert Relay(nothing).passed_on([(header, "x"), ("accept", "y")]) == [("accept", "y")]


async def test_a_server_tells_who_the_client_is(rig: SharingRig) -> None:
    """By the certificate that it passes on, or by a token; its own certificate is for nobody in a cluster."""
    await rig.make("own")
    token = await rig.token("own")

    async def asked(chain: tuple[bytes, ...] = (), **more: Any) -> tuple[int, str, bool]:
        client = Request("POST", "/", {}, [], peer=("10.0.0.9", 12), peer_certificates=chain)
        headers: dict[str, Any] = dict(peers.headers_of(client, "own")) | more
        answer = await rig.send(
            "POST", f"/clusters/own{REVIEWS}", {}, identity=server_identity(rig), judged=True, **headers
        )
        found = (answer.body.get("status") or {}).get("userInfo", {}) if answer.status == 201 else {}
        return answer.status, found.get("username", ""), AUTHENTICATED in answer.headers

    authority = (rig.data / "ca.crt").read_bytes()
    issuer = identity_of(authority, authority).chain
    assert await asked(rig.identity("own").chain) == (201, "admin", True)
    assert await asked((*rig.identity("own").chain, *issuer, *issuer)) == (201, "admin", True)
    account = "system:serviceaccount:default:default"
    assert await asked(authorization=bearer(token)) == (201, account, True)
    assert await asked() == (403, "", False)
    assert await asked(rig.identity("", "admin").chain) == (401, "", False)
    assert await asked((b"\xff",)) == (401, "", False)
    assert await asked(client_cert=":not base64:") == (401, "", False)


async def test_a_forwarded_request_is_for_its_cluster_alone(rig: SharingRig) -> None:
    """By a host name that this server does not know, it is none for the server's own cluster."""
    await rig.make("own")
    for name, identity, status in (("own", rig.identity("own"), 201), ("own", rig.identity(""), 401)):
        client = Request("POST", REVIEWS, {}, [], peer_certificates=identity.chain)
        headers: dict[str, Any] = dict(peers.headers_of(client, name))
        answer = await rig.send(
            "POST",
            REVIEWS,
            {},
            identity=server_identity(rig),
            judged=True,
            host=f"{name}.other.test",
            **headers,
        )
        assert answer.status == status


async def test_a_forwarded_request_is_not_forwarded_again(rig: SharingRig) -> None:
    await taken(rig)
    client = Request("GET", "/", {}, [], peer=("10.0.0.9", 12))
    headers: dict[str, Any] = dict(peers.headers_of(client, "one"))
    async with Peer(rig, answers()) as peer:
        for judged in (False, True):
            path = f"/clusters/one{MAPS}"
            answer = await rig.send("GET", path, identity=server_identity(rig), judged=judged, **headers)
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert peer.asked == []


@pytest.mark.parametrize("name", [":forwarded", ": forwarded"])
async def test_no_header_says_that_a_request_was_accepted(rig: SharingRig, name: str) -> None:
    await rig.make("own")
    async with Connection(rig.port, rig.context(rig.identity("own"))) as connection:
        await connection.send("GET", f"/clusters/own{MAPS}", headers={name: "1"})
        status, _ = await connection.answer()
        assert status == 400


# Answers that do not come


async def test_nobody_listens(rig: SharingRig) -> None:
    """Nothing was sent, so clients may ask again."""
    await taken(rig)
    async with Peer(rig, answers()):
        pass
    for method in ("GET", "POST"):
        answer = await rig.call(method, MAPS, {} if method == "POST" else None, cluster="one")
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert answer.body["reason"] == "ServiceUnavailable"
    assert rig.clusters.metrics.forwarded.values[("503",)] == 2


async def test_the_ca_of_servers_cannot_be_read(rig: SharingRig) -> None:
    await taken(rig)
    identity, path = rig.identity("one"), rig.data / "ca.crt"
    async with Peer(rig, answers()) as peer:
        path.rename(rig.data / "away")
        answer = await rig.call("GET", MAPS, cluster="one", identity=identity)
        assert (answer.status, answer.headers["retry-after"], peer.asked) == (503, "1", [])
        (rig.data / "away").rename(path)
        assert (await rig.call("GET", MAPS, cluster="one", identity=identity)).status == 200


async def test_the_connection_breaks(rig: SharingRig) -> None:
    """A write may have happened: its client is not told to try again."""
    await taken(rig)

    async def breaks(asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise ConnectionError

    async with Peer(rig, breaks):
        read = await rig.call("GET", MAPS, cluster="one")
        written = await rig.call("POST", MAPS, {}, cluster="one")
    assert (read.status, read.headers.get("retry-after")) == (503, "1")
    assert (written.status, written.headers.get("retry-after")) == (500, None)


async def never(asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A script of a server that stands still."""
    await asyncio.Event().wait()


async def test_a_server_that_stands_still_and_loses_the_cluster(rig: SharingRig) -> None:
    """The requests that wait for it are answered."""
    uid = await taken(rig)
    async with Peer(rig, never) as peer:
        waiting = [
            asyncio.create_task(rig.call(method, MAPS, {} if method == "POST" else None, cluster="one"))
            for method in ("GET", "POST")
        ]
        await aeventually(lambda: len(peer.asked) == 2, "the requests")
        del rig.shared.holders[uid]
        await look(rig)
        read, written = await asyncio.gather(*waiting)
    assert (read.status, read.headers.get("retry-after")) == (503, "1")
    assert (written.status, written.body["reason"]) == (504, "Timeout")


async def look(rig: SharingRig) -> None:
    """Have the server look now whether others have their clusters still."""
    await rig.sharing.forwarder.look()


async def streams(asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A script of a long answer: its first part, and no end."""
    writer.write(b'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n7\r\n{"a":1}\r\n')
    await writer.drain()
    await reader.read()


@pytest.mark.parametrize("watch", [True, False])
@pytest.mark.parametrize("by", ["look", "stop", "client"])
async def test_an_answer_that_goes_on(rig: SharingRig, watch: bool, by: str) -> None:
    """It is passed on as it comes. Where the other server loses the cluster a watch ends as such, and another
    answer is cut, so that it is not taken to be whole; where this one stops it ends watches alone."""
    uid = await taken(rig)
    ended = asyncio.Event()

    async def noting(asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await streams(asked, reader, writer)
        ended.set()

    async with Peer(rig, noting):
        answer = await rig.call("GET", f"{MAPS}?watch={str(watch).lower()}", cluster="one")
        stream = answer.stream
        assert stream is not None
        await aeventually(lambda: stream.data == b'{"a":1}', "the first part")
        if by == "client":
            stream.close()
        elif by == "stop":
            rig.sharing.forwarder.end_watches()
            assert stream.closed == watch
            stream.close()
        else:
            await look(rig)
            assert not stream.closed
            del rig.shared.holders[uid]
            await look(rig)
            await aeventually(lambda: stream.closed, "the end")
            assert stream.aborted != watch
        await asyncio.wait_for(ended.wait(), 30)
        assert not rig.sharing.forwarder.open


async def test_an_upgraded_connection(rig: SharingRig) -> None:
    """Bytes go both ways; it is cut where the other server loses the cluster."""
    uid = await taken(rig)

    async def echoes(asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert asked.all("upgrade") == ["chat"] and asked.all("sec-websocket-protocol") == ["a, b"]
        writer.write(b"HTTP/1.1 101 X\r\nconnection: upgrade\r\nupgrade: chat\r\n\r\nhello")
        while data := await reader.read(100):
            writer.write(data)
        raise ConnectionError

    headers = {"connection": "Upgrade", "upgrade": "chat", "sec-websocket-protocol": "a, b"}
    async with Peer(rig, echoes), Connection(rig.port, rig.context(rig.identity("one"))) as connection:
        await connection.send("GET", f"/clusters/one{MAPS}", headers=headers)
        assert (await connection.head()).startswith(b"HTTP/1.1 101 ")
        await connection.write(b" back")
        assert await connection.some(10) == b"hello back"
        del rig.shared.holders[uid]
        await look(rig)
        assert await asyncio.wait_for(connection.rest(), 30) == b""


async def test_an_upgrade_that_is_refused(rig: SharingRig) -> None:
    await taken(rig)
    headers = {"connection": "Upgrade", "upgrade": "chat"}
    async with (
        Peer(rig, answers(403, b'{"a": 1}')),
        Connection(rig.port, rig.context(rig.identity("one"))) as connection,
    ):
        await connection.send("GET", f"/clusters/one{MAPS}", headers=headers)
        assert await connection.answer() == (403, b'{"a": 1}')


async def test_only_so_many_wait(rig: SharingRig) -> None:
    await taken(rig)
    forwarder = rig.sharing.forwarder
    async with Peer(rig, never) as peer:
        few = Forwarder(forwarder._outbound, forwarder._peers, forwarder._elsewhere, SharedMetrics(), most=1)
        request = Request("GET", f"/clusters/one{MAPS}", {}, [])
        first = asyncio.create_task(few.forward(request, "one", rig.others.address))
        await aeventually(lambda: peer.asked, "the request")
        assert (await few.forward(request, "one", rig.others.address)).status == 429
        first.cancel()
        await asyncio.wait([first])
        assert not few.open


async def test_the_caller_is_known_where_the_other_server_says_so(rig: SharingRig) -> None:
    """Connections of strangers are few."""
    await taken(rig)
    for known in (True, False):
        script = answers(x_pilothouse_authenticated="1") if known else answers()
        async with Peer(rig, script):
            request = Request("GET", f"/clusters/one{MAPS}", {}, [])
            answer = await rig.sharing.forwarder.forward(request, "one", rig.others.address)
            assert isinstance(answer, Response) and answer.status == 200
            assert request.caller == ("cluster one" if known else "")
            assert AUTHENTICATED not in dict(answer.headers)


async def test_both_servers_want_it_at_once(rig: SharingRig) -> None:
    """The other one is faster between two looks: the request goes there."""
    await rig.make("one")
    uid = rig.uid("one")
    rig.mine.on_claim = lambda: rig.others.claim(uid)
    async with Peer(rig, answers()) as peer:
        assert (await rig.call("GET", MAPS, cluster="one")).status == 200
    assert len(peer.asked) == 1
