// Priority and fairness: the seats of each level, what waits in its queues, and for whom.

import { getText, Refusal } from "./api.js";
import { bar } from "./charts.js";
import { h, panel, refusals, Table } from "./dom.js";
import { by } from "./exposition.js";
import { number, seconds } from "./format.js";

export const name = "queues";
export const title = "Queues";

const DUMPS = "/debug/api_priority_and_fairness";
const EVERY = 5000;

// A dump is a table of cells under a line of names; each cell ends with a comma and spaces.
function rowsOf(text) {
  const [head = "", ...lines] = text.trim().split("\n");
  const names = head.split(/,\s*/);
  return lines.map((line) => {
    const cells = line.split(/,\s+/);
    return Object.fromEntries(names.map((title, at) => [title, (cells[at] || "").replace(/,$/, "").trim()]));
  });
}

export function show(root, { sampler, paused }) {
  const place = h("div");
  const refuse = refusals(place);
  const count = (title, member, hint) => ({ title, of: (row) => Number(row[member]), show: (row) => number(Number(row[member])), numeric: true, hint });
  const levels = new Table({
    label: "Priority levels",
    key: (row) => row.PriorityLevelName,
    sort: "Level",
    columns: [
      { title: "Level", of: (row) => row.PriorityLevelName, show: (row) => row.PriorityLevelName },
      { title: "Seats in use", of: (row) => row.share, paint: (cell, row) => bar(cell, row.share, row.seats, row.share >= 0.9 ? "bad" : row.share >= 0.6 ? "warn" : "") },
      count("Executing", "ExecutingRequests", "Requests that have seats now"),
      { ...count("Waiting", "WaitingRequests", "Requests in queues now"), tone: (row) => (Number(row.WaitingRequests) ? "warn" : "") },
      count("Dispatched", "DispatchedRequests", "Since the start"),
      { ...count("Rejected", "RejectedRequests", "Refused with 429, since the start"), tone: (row) => (Number(row.RejectedRequests) ? "bad" : "") },
      count("Timed out", "TimedoutRequests", "Waited for too long, since the start"),
      count("Cancelled", "CancelledRequests", "Given up by their clients, since the start"),
    ],
  });
  const queues = new Table({
    label: "Queues that are in use",
    key: (row) => `${row.PriorityLevelName} ${row.Index}`,
    sort: "-Waiting",
    empty: "All queues are empty.",
    columns: [
      { title: "Level", of: (row) => row.PriorityLevelName, show: (row) => row.PriorityLevelName },
      { title: "Queue", of: (row) => Number(row.Index), show: (row) => row.Index, numeric: true },
      count("Waiting", "PendingRequests"),
      count("Executing", "ExecutingRequests"),
      count("Seats", "SeatsInUse"),
    ],
  });
  const requests = new Table({
    label: "Requests that wait or are executed",
    key: (row) => `${row.ArriveTime} ${row.UserName} ${row.APIPath} ${row.QueueIndex}`,
    empty: "No request is under way.",
    sort: "-For",
    columns: [
      { title: "User", of: (row) => row.UserName, show: (row) => row.UserName },
      { title: "Request", wide: true, of: (row) => row.APIPath, show: (row) => `${row.Verb} ${row.APIPath}` },
      { title: "Flow schema", of: (row) => row.FlowSchemaName, show: (row) => row.FlowSchemaName },
      { title: "Level", of: (row) => row.PriorityLevelName, show: (row) => row.PriorityLevelName },
      { title: "State", of: (row) => row.state, show: (row) => row.state, tone: (row) => (row.state === "waits" ? "warn" : "") },
      { title: "For", of: (row) => row.age, show: (row) => seconds(row.age), numeric: true },
      { title: "Seats", of: (row) => Number(row.InitialSeats), show: (row) => row.InitialSeats, numeric: true },
    ],
  });
  root.append(place, panel("Priority levels", levels.root), panel("Queues in use", queues.root), panel("Requests under way", requests.root));

  const turn = async () => {
    if (paused() || document.hidden) return;
    try {
      const [shown, queued, asked] = await Promise.all([
        getText(`${DUMPS}/dump_priority_levels`), getText(`${DUMPS}/dump_queues`),
        getText(`${DUMPS}/dump_requests?includeRequestDetails=1`),
      ]);
      const families = sampler.latest ? sampler.latest.families : new Map();
      const used = by(families, "apiserver_flowcontrol_current_executing_seats", (row) => row.priority_level);
      const limits = by(families, "apiserver_flowcontrol_current_limit_seats", (row) => row.priority_level);
      levels.update(rowsOf(shown).map((row) => withSeats(row, used, limits)));
      queues.update(rowsOf(queued).filter((row) => Number(row.PendingRequests) || Number(row.ExecutingRequests)));
      requests.update(rowsOf(asked).filter((row) => !row.APIPath.startsWith(DUMPS)).map(withState));
      refuse(null);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      refuse(error.status === 404 ? new Refusal(404, error.reason, "Priority and fairness is switched off: requests are counted against two limits alone.", "") : error);
    }
  };
  const timer = setInterval(turn, EVERY);
  turn();
  return () => clearInterval(timer);
}

function withSeats(row, used, limits) {
  const limit = row.PriorityLevelName === "exempt" ? 0 : limits.get(row.PriorityLevelName) || 0, seats = used.get(row.PriorityLevelName) || 0;
  const told = limit ? `${number(seats)} of ${number(limit)}` : `${number(seats)}, no limit`;
  return { ...row, seats: told, share: limit ? seats / limit : 0 };
}

function withState(row) {
  const waits = row.StartTime.startsWith("0001");
  return { ...row, state: waits ? "waits" : "is executed", age: (Date.now() - Date.parse(row.ArriveTime)) / 1000 };
}
