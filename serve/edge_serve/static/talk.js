// What every page of the server needs: asking it, and the token it may want.

const TOKEN_KEY = "edge-token";

export const $ = (id) => document.getElementById(id);

export class Refused extends Error {
  constructor(status, message, hint, retryAfter) {
    super(message);
    Object.assign(this, { status, hint, retryAfter });
  }
}

function authorization() {
  const token = sessionStorage.getItem(TOKEN_KEY);
  return token ? { Authorization: `Bearer ${token}` } : {};
}

// The response, where it is one of success; else Refused.
export async function fetchFrom(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { ...options, headers: { ...options.headers, ...authorization() } });
  } catch {
    throw new Refused(0, "The server cannot be reached.", "Is it running, and is this device still on its network?");
  }
  if (response.ok) return response;
  const value = await response.json().catch(() => ({}));
  if (response.status === 401) askForToken();
  throw new Refused(response.status, value.error ?? `The server answered ${response.status}.`, value.hint ?? "",
    Number(response.headers.get("Retry-After")) || 1);
}

export async function ask(path, options = {}) {
  return (await fetchFrom(path, options)).json();
}

// --- The token ----------------------------------------------------------------------------------------------------

function askForToken() {
  const known = sessionStorage.getItem(TOKEN_KEY);
  sessionStorage.removeItem(TOKEN_KEY);
  $("token-note").textContent = known ? "That was not it." : "It stays in this tab.";
  if ($("token-form").hidden) {
    $("token-form").hidden = false;
    $("token").focus();
  }
}

// `show` says whether the server let it in; then `after` is called.
export function whenUnlocked(show, after) {
  $("token-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    sessionStorage.setItem(TOKEN_KEY, $("token").value.trim());
    if (await show()) {
      $("token-form").hidden = true;
      $("token").value = "";
      after();
    }
  });
}

// A link cannot send the token: where there is one, the page fetches what it leads to and shows that.
export function sendTokenWith(link) {
  link.addEventListener("click", async (event) => {
    if ($("token-form").hidden && !sessionStorage.getItem(TOKEN_KEY)) return;
    event.preventDefault();
    try {
      const response = await fetchFrom(link.href);
      location.assign(URL.createObjectURL(await response.blob()));
    } catch (error) {
      if (error.status !== 401) $("subtitle").textContent = error.message;
    }
  });
}

// A link may bring the token behind its #, which no server gets to see.
if (location.hash.startsWith("#token=")) {
  sessionStorage.setItem(TOKEN_KEY, decodeURIComponent(location.hash.slice("#token=".length)));
  history.replaceState(null, "", location.pathname);
}
