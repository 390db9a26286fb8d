// Keeps the page of a job up to date. Without this script the page reloads itself.

const PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 15000;
const SPOKEN_MS = 10000; // a screen reader is told of the progress this often

const section = document.getElementById("shisho-job");
const status = document.getElementById("shisho-job-status");
let spokenAt = Date.now();

function setText(selector, text) {
  const element = section.querySelector(selector);
  if (element && element.textContent !== text) element.textContent = text;
}

function draw(job) {
  const progress = section.querySelector("progress");
  const words = `${job.done.toLocaleString("en")} of ${job.total.toLocaleString("en")}`;
  if (progress) {
    progress.max = job.total;
    progress.value = job.done;
  }
  setText('[data-job="progress"]', words);
  for (const name of ["changed", "removed", "failed", "skipped"]) {
    setText(`[data-count="${name}"]`, job[name].toLocaleString("en"));
  }
  setText('[data-count="unchanged"]', unchanged(job).toLocaleString("en"));
  if (Date.now() - spokenAt > SPOKEN_MS) {
    spokenAt = Date.now();
    status.textContent = words;
  }
}

function unchanged(job) {
  return Math.max(0, job.done - job.changed - job.removed - job.failed - job.skipped);
}

// The last page has the errors and no button: fetched whole, then what is left of the focus is kept.
async function drawEnd() {
  const response = await fetch(section.dataset.url, { headers: { Accept: "text/html" } });
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const hadFocus = section.contains(document.activeElement);
  document.querySelector("section.content").replaceWith(document.adoptNode(page.querySelector("section.content")));
  const ended = document.getElementById("shisho-job-status");
  ended.textContent = document.querySelector('[data-job="state"]').textContent;
  if (hadFocus) {
    const heading = document.querySelector("h1");
    heading.tabIndex = -1;
    heading.focus();
  }
}

async function follow() {
  let pause = PAUSE_MS;
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, pause));
    let job;
    try {
      const response = await fetch(section.dataset.url, { headers: { Accept: "application/json" } });
      job = await response.json();
      if (!job.ok) throw new Error(job.error);
    } catch (error) {
      status.textContent = `The progress can't be read: ${error.message}`;
      pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
      continue;
    }
    pause = PAUSE_MS;
    draw(job);
    if (job.state !== "running") {
      await drawEnd();
      return;
    }
  }
}

if (section && section.dataset.state === "running") follow();
