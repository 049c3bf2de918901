// Numbers, sizes and times as people read them.

const NONE = "–";

function short(value) {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

export function number(value) {
  return Number.isFinite(value) ? Math.round(value).toLocaleString("en") : NONE;
}

export function rate(value) {
  if (!Number.isFinite(value)) return NONE;
  if (Number.isInteger(value)) return number(value);
  return value < 0.01 ? "<0.01" : value >= 10000 ? number(value) : short(value);
}

export function percent(share) {
  if (!Number.isFinite(share)) return NONE;
  return share === 0 ? "0 %" : share < 0.0001 ? "<0.01 %" : `${short(share * 100)} %`;
}

export function seconds(value) {
  if (!Number.isFinite(value)) return NONE;
  if (value === 0) return "0";
  if (value < 0.001) return `${short(value * 1e6)} µs`;
  if (value < 1) return `${short(value * 1e3)} ms`;
  return value < 120 ? `${short(value)} s` : age(value);
}

export function bytes(value) {
  if (!Number.isFinite(value)) return NONE;
  for (const unit of ["B", "KB", "MB", "GB"]) {
    if (value < 1024) return unit === "B" ? `${Math.round(value)} B` : `${short(value)} ${unit}`;
    value /= 1024;
  }
  return `${short(value)} TB`;
}

// A duration in seconds as kubectl shows ages: two units at most.
export function age(value) {
  if (!Number.isFinite(value)) return NONE;
  const total = Math.max(0, Math.floor(value));
  const minutes = Math.floor(total / 60), hours = Math.floor(minutes / 60), days = Math.floor(hours / 24);
  if (total < 120) return `${total}s`;
  if (minutes < 10) return total % 60 ? `${minutes}m${total % 60}s` : `${minutes}m`;
  if (hours < 3) return `${minutes}m`;
  if (hours < 8) return minutes % 60 ? `${hours}h${minutes % 60}m` : `${hours}h`;
  if (hours < 48) return `${hours}h`;
  return days < 8 && hours % 24 ? `${days}d${hours % 24}h` : `${days}d`;
}

export function since(timestamp) {
  return age((Date.now() - Date.parse(timestamp)) / 1000);
}

export function clock(milliseconds) {
  return new Date(milliseconds).toLocaleTimeString("en-GB");
}
