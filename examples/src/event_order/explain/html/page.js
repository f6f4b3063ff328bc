(() => {
  'use strict';
  document.documentElement.classList.add('js');
  const all = (query, root = document) => [...root.querySelectorAll(query)];
  const detail = document.getElementById('detail');
  const chips = all('.chip button');
  const lines = all('.source code[data-label]');
  const make = (name, text, className = '') => Object.assign(document.createElement(name), { textContent: text, className });

  // What stands about a chip in the table below is shown beside it.
  function show(chip) {
    const cell = [...document.getElementById(chip.dataset.row).cells].map((td) => td.textContent);
    const [, label, turn, phase, queue, from, why, rules] = cell;
    const badges = make('p', '', 'rules');
    badges.append(...rules.split(', ').filter(Boolean).map((rule) => make('span', rule, 'rule')));
    detail.replaceChildren(make('strong', label), make('p', `${turn} · ${phase} · ${queue}`, 'where'), make('p', why));
    if (from) detail.append(make('p', from, 'where'));
    detail.append(badges);
    detail.classList.add('shown');
    const box = chip.getBoundingClientRect();
    const room = { width: document.documentElement.clientWidth, height: innerHeight };
    const left = Math.max(12, Math.min(box.left, room.width - detail.offsetWidth - 12));
    const below = box.bottom + 8 + detail.offsetHeight < room.height || box.top < detail.offsetHeight + 16;
    detail.style.left = `${left + scrollX}px`;
    detail.style.top = `${(below ? box.bottom + 8 : box.top - 8 - detail.offsetHeight) + scrollY}px`;
    light(chip.dataset.label);
  }
  function light(label) {
    for (const chip of chips) chip.parentElement.classList.toggle('lit', label !== undefined && chip.dataset.label === label);
    for (const line of lines) line.classList.toggle('lit', line.dataset.label === label);
  }
  function hide() {
    detail.classList.remove('shown');
    light(undefined);
  }
  chips.forEach((chip, index) => {
    chip.addEventListener('mouseenter', () => show(chip));
    chip.addEventListener('mouseleave', hide);
    chip.addEventListener('focus', () => show(chip));
    chip.addEventListener('blur', hide);
    chip.addEventListener('click', () => show(chip));
    chip.addEventListener('keydown', (event) => {
      const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
      if (event.key === 'Escape') hide();
      if (!step || !chips[index + step]) return;
      event.preventDefault();
      chips[index + step].focus();
    });
  });
  for (const line of lines) {
    line.addEventListener('mouseenter', () => light(line.dataset.label));
    line.addEventListener('mouseleave', () => light(undefined));
  }

  // The way of the loop through its lanes.
  function draw(diagram) {
    const origin = diagram.getBoundingClientRect();
    const isRails = getComputedStyle(diagram.querySelector('.dot')).display !== 'none';
    const stops = all(isRails ? '.dot' : '.block', diagram).map((stop) => {
      const box = stop.getBoundingClientRect();
      const x = box.left + box.width / 2 - origin.left;
      return { x, top: box.top - origin.top, bottom: box.bottom - origin.top };
    });
    let way = '';
    stops.slice(1).forEach((to, index) => {
      const from = stops[index];
      const bend = Math.max(10, (to.top - from.bottom) / 2);
      way += `M${from.x} ${from.bottom}C${from.x} ${from.bottom + bend} ${to.x} ${to.top - bend} ${to.x} ${to.top}`;
    });
    diagram.querySelector('.way path').setAttribute('d', way);
  }
  const diagrams = all('.diagram');
  const watch = new ResizeObserver((entries) => entries.forEach((entry) => draw(entry.target)));
  diagrams.forEach((diagram) => watch.observe(diagram));

  // Replay: chips come one after the other, on both sides at once.
  const replay = document.getElementById('replay');
  let running;
  replay.addEventListener('click', () => {
    clearInterval(running);
    const lanes = diagrams.map((diagram) => all('.chip', diagram));
    lanes.flat().forEach((chip) => chip.classList.remove('played'));
    document.body.classList.add('playing');
    let next = 0;
    running = setInterval(() => {
      lanes.forEach((lane) => lane[next]?.classList.add('played'));
      next += 1;
      if (lanes.every((lane) => next >= lane.length)) {
        clearInterval(running);
        document.body.classList.remove('playing');
      }
    }, 420);
  });
})();
