/* The rows of a list, in any theme of the admin. */

/** Return the rows by the ID of their run: the second last part of the link's path. */
export function rowsOf(table) {
    const found = new Map();
    for (const link of table.querySelectorAll("tbody .field-title a")) {
        const key = new URL(link.href, location.href).pathname.split("/").filter(Boolean).at(-2);
        found.set(key, link.closest("tr"));
    }
    return found;
}

/** Arrange elements in this order, without moving those that are in place already. */
function arrange(old, wanted) {
    const parent = old[0].parentNode;
    for (const each of old.filter((each) => !wanted.includes(each))) {
        each.remove();
    }
    let place = parent.querySelector(`:scope > ${wanted[0].localName}`);
    for (const each of wanted) {
        if (each === place) {
            place = place.nextElementSibling;
        } else {
            parent.insertBefore(each, place);
        }
    }
}

/** Update the rows of a table. New rows are taken from the freshly loaded page, which has the markup of the theme. */
export function arrangeRows(table, fresh) {
    // Some themes use a `tbody` for each row.
    const alone = table.tBodies.length > 1 || fresh.tBodies.length > 1;
    const partOf = (row) => (alone ? row.closest("tbody") : row);
    const known = rowsOf(table);
    const wanted = Array.from(rowsOf(fresh), ([key, row]) => partOf(known.get(key) || row));
    const focused = document.activeElement;
    arrange(Array.from(known.values(), partOf), wanted);
    if (focused.isConnected && document.activeElement !== focused) {
        focused.focus({ preventScroll: true });
    }
}
