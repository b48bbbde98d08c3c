/* Tabs with three views of the same nodes. The arrow keys move between them. The fragment of the URL contains the view
   and, after a colon, the place in it: #graph:<node>, #timeline:<page>. */

const STEPS = { ArrowRight: 1, ArrowLeft: -1 };
const list = document.querySelector(".tasktree-tabs");
const tabs = Array.from(list.querySelectorAll("[role=tab]"));
const places = new Map();
const viewOf = (tab) => tab.getAttribute("aria-controls");

function addressOf(view) {
    const place = places.get(view);
    return `#${view}${place ? `:${place}` : ""}`;
}

/** Store a new place in a view in the URL and the browser's history, so that the back button works. */
export function goTo(view, place) {
    places.set(view, place);
    history.pushState(null, "", addressOf(view));
}

function choose(tab) {
    for (const each of tabs) {
        const chosen = each === tab;
        each.setAttribute("aria-selected", String(chosen));
        each.tabIndex = chosen ? 0 : -1;
        document.getElementById(viewOf(each)).hidden = !chosen;
    }
    const view = viewOf(tab);
    const detail = { place: places.get(view) || "" };
    document.getElementById(view).dispatchEvent(new CustomEvent("tasktree:shown", { detail }));
    history.replaceState(null, "", addressOf(view));
}

function press(event) {
    const tab = event.target.closest("[role=tab]");
    if (tab) {
        choose(tab);
    }
}

function move(event) {
    if (event.key in STEPS) {
        event.preventDefault();
        const at = tabs.indexOf(document.activeElement) + STEPS[event.key];
        const tab = tabs[(at + tabs.length) % tabs.length];
        choose(tab);
        tab.focus();
    }
}

/** Select the view that the URL names. */
function follow() {
    const [view, place] = location.hash.slice(1).split(":", 2);
    const named = tabs.find((tab) => viewOf(tab) === view);
    if (named) {
        places.set(view, place || "");
        choose(named);
    }
}

/** Start the tabs. Call this after the views have registered their listeners for `tasktree:shown`. */
export function startTabs() {
    list.addEventListener("click", press);
    list.addEventListener("keydown", move);
    list.hidden = false;
    window.addEventListener("popstate", follow);
    follow();
}
