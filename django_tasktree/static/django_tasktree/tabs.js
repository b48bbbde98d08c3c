/* Three views of the same nodes, one at a time; the arrow keys move between them. The address names the view, and after
   a colon the place in it: #graph:<node>, #timeline:<page>. */
"use strict";

(function () {
    const list = document.querySelector(".tasktree-tabs");
    if (!list) {
        return;
    }
    const tabs = Array.from(list.querySelectorAll("[role=tab]"));
    const places = new Map();
    const viewOf = (tab) => tab.getAttribute("aria-controls");

    function addressOf(view) {
        const place = places.get(view);
        return "#" + view + (place ? ":" + place : "");
    }

    /** A view moves to another place: the browser's back button leads from there. */
    window.tasktreeGoTo = function (view, place) {
        places.set(view, place);
        history.pushState(null, "", addressOf(view));
    };

    function choose(tab, focus) {
        for (const each of tabs) {
            const chosen = each === tab;
            each.setAttribute("aria-selected", String(chosen));
            each.tabIndex = chosen ? 0 : -1;
            document.getElementById(viewOf(each)).hidden = !chosen;
        }
        if (focus) {
            tab.focus();
        }
        const view = viewOf(tab);
        const detail = { place: places.get(view) || "" };
        document.getElementById(view).dispatchEvent(new CustomEvent("tasktree:shown", { detail }));
        history.replaceState(null, "", addressOf(view));
    }

    list.addEventListener("click", function (event) {
        const tab = event.target.closest("[role=tab]");
        if (tab) {
            choose(tab, false);
        }
    });
    list.addEventListener("keydown", function (event) {
        const steps = { ArrowRight: 1, ArrowLeft: -1 };
        if (event.key in steps) {
            event.preventDefault();
            const at = tabs.indexOf(document.activeElement) + steps[event.key];
            choose(tabs[(at + tabs.length) % tabs.length], true);
        }
    });
    function follow() {
        const [view, place] = location.hash.slice(1).split(":", 2);
        const named = tabs.find((tab) => viewOf(tab) === view);
        if (named) {
            places.set(view, place || "");
            choose(named, false);
        }
    }

    list.hidden = false;
    window.addEventListener("popstate", follow);
    // After the scripts of the other views have begun to listen.
    document.addEventListener("DOMContentLoaded", follow);
})();
