// Scans with one click: on a row's page from its menu, on a table's page from a button in each row.
// Without this script the menu's links lead to the confirm page, which does the same.

const SCAN = "/-/resync?mode=scan";
const LEAVE_MESSAGE = "?_message=1"; // for the next page, when this one's row is gone
const LABEL = "Scan for new metadata";
const ICON =
  '<svg class="row-inline-action-icon" aria-hidden="true" xmlns="http://www.w3.org/2000/svg" width="14" ' +
  'height="14" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" ' +
  'stroke-linecap="round" stroke-linejoin="round"><path d="M21 12a9 9 0 1 1-2.6-6.4"></path>' +
  '<path d="M21 3v6h-6"></path></svg>';

function say(text, isError) {
  let status = document.querySelector(".row-mutation-status");
  if (!status) {
    status = document.createElement("p");
    status.className = "row-mutation-status";
    status.tabIndex = -1;
    status.setAttribute("aria-live", "polite");
    const before = document.querySelector(".table-wrapper, .rows-and-columns, .page-action-menu");
    before.parentNode.insertBefore(status, before);
  }
  status.hidden = false;
  status.setAttribute("role", isError ? "alert" : "status");
  status.classList.toggle("row-mutation-status-error", isError);
  status.classList.add("shisho-said");
  status.textContent = text;
  return status;
}

function message(answer) {
  const removed = "removed (no longer exists on disk)";
  if (answer.book_deleted) return `Book ${removed}`;
  if (answer.deleted) return `File ${removed}`;
  if (answer.changes.some((change) => change.field === "row" && change.table === "files")) {
    return `File ${removed}`;
  }
  const failed = answer.files.filter((file) => file.error).map((file) => file.error);
  const said = answer.changed ? "Metadata scanned" : "Metadata scanned: nothing to change";
  return [said, ...changedFields(answer.changes), ...answer.warnings, ...failed].join(". ");
}

function changedFields(changes) {
  const names = changes.map((change) => change.field).filter((field) => !["row", "file_role"].includes(field));
  return names.length ? [`Changed: ${[...new Set(names)].join(", ").replaceAll("_", " ")}`] : [];
}

async function scan(rowUrl, query = "") {
  const response = await fetch(`${rowUrl}/-/resync${query}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "application/json", "X-Shisho-Page": "1" },
    body: JSON.stringify({ mode: "scan" }),
  });
  let answer;
  try {
    answer = await response.json();
  } catch {
    throw new Error(`The server answered ${response.status}.`);
  }
  if (!answer.ok) {
    // A page tells what would be removed, and how to say that it may be.
    const page = answer.would_remove ? rowUrl + SCAN : null;
    throw Object.assign(new Error(answer.error), { page });
  }
  return answer;
}

function linkTo(url, text) {
  const link = document.createElement("a");
  link.href = url;
  link.textContent = text;
  return link;
}

async function withPending(control, work) {
  if (control.getAttribute("aria-busy") === "true") return;
  control.setAttribute("aria-busy", "true");
  control.classList.add("shisho-busy");
  say("Scanning…", false);
  try {
    await work();
  } catch (error) {
    const status = say(error.message, true);
    if (error.page) status.append(" ", linkTo(error.page, "Is it really gone?"));
  } finally {
    control.removeAttribute("aria-busy");
    control.classList.remove("shisho-busy");
  }
}

async function fetchPage(url) {
  const response = await fetch(url, { headers: { Accept: "text/html" } });
  if (!response.ok) throw new Error("The metadata was scanned, but the page could not be read again.");
  return new DOMParser().parseFromString(await response.text(), "text/html");
}

// --- the page of a row ---------------------------------------------------------------------------

const ROW_PARTS = [".table-wrapper", ".rows-and-columns"]; // the first that there is

function replacePart(fresh, selector) {
  const present = document.querySelector(selector);
  const now = fresh.querySelector(selector);
  if (present && now) present.replaceWith(document.adoptNode(now));
  return Boolean(present && now);
}

async function redrawRowPage() {
  const fresh = await fetchPage(location.href);
  replacePart(fresh, "#shisho-panel");
  ROW_PARTS.some((selector) => replacePart(fresh, selector));
  document.title = fresh.title;
}

function closeMenu(link) {
  const menu = link.closest("details");
  if (!menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
}

function takeOverMenu() {
  for (const link of document.querySelectorAll(`.page-action-menu a[href$="${SCAN}"]`)) {
    const rowUrl = link.href.slice(0, -SCAN.length);
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
      event.preventDefault();
      closeMenu(link);
      withPending(link, async () => {
        const answer = await scan(rowUrl, LEAVE_MESSAGE);
        if (answer.deleted) {
          location.assign(rowUrl.slice(0, rowUrl.lastIndexOf("/")));
          return;
        }
        await redrawRowPage();
        say(message(answer), false);
      });
    });
  }
}

// --- the page of a table -------------------------------------------------------------------------

function fragmentUrl(rowUrl, rowId) {
  const url = new URL(`${rowUrl.slice(0, rowUrl.lastIndexOf("/"))}/-/fragment`, location.href);
  url.search = location.search;
  url.searchParams.delete("_next");
  url.searchParams.set("_row", rowId);
  for (const name of ["_nocount", "_nofacet", "_nosuggest"]) url.searchParams.set(name, "1");
  return url;
}

function rowOf(page, rowId) {
  return page.querySelector(`tr[data-row="${CSS.escape(rowId)}"]`);
}

async function redrawTableRow(row, rowUrl) {
  const rowId = row.dataset.row;
  const fresh = rowOf(await fetchPage(fragmentUrl(rowUrl, rowId)), rowId);
  if (!fresh) {
    row.remove();
    return null;
  }
  const adopted = document.adoptNode(fresh);
  row.replaceWith(adopted);
  return addButton(adopted);
}

function addButton(row) {
  const links = [...row.querySelectorAll("td a[href]")];
  const link = links.find((a) => new URL(a.href).pathname.endsWith(`/${row.dataset.row}`));
  if (!link || row.querySelector("[data-shisho-scan]")) return null;
  const rowUrl = link.href.split(/[?#]/)[0];
  const button = document.createElement("button");
  button.type = "button";
  button.className = "row-inline-action";
  button.dataset.shishoScan = "";
  button.title = LABEL;
  button.setAttribute("aria-label", `${LABEL}: row ${row.dataset.row}`);
  button.innerHTML = ICON;
  button.addEventListener("click", () =>
    withPending(button, async () => {
      const answer = await scan(rowUrl);
      const fresh = await redrawTableRow(row, rowUrl);
      const status = say(`Row ${row.dataset.row}: ${message(answer)}`, false);
      (fresh || status).focus();
    }),
  );
  let actions = row.querySelector(".row-inline-actions");
  if (!actions) {
    actions = document.createElement("span");
    actions.className = "row-inline-actions";
    link.after(" ", actions);
  }
  actions.append(button);
  return button;
}

function start() {
  takeOverMenu();
  if (!document.body.classList.contains("table")) return;
  const addButtons = () => document.querySelectorAll("tr[data-row]").forEach(addButton);
  addButtons();
  // Datasette draws a row anew when it was edited.
  new MutationObserver(addButtons).observe(document.body, { childList: true, subtree: true });
}

start();
