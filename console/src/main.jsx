// The console of gusher: a page that is part of every master (src/api/console.c).
import { render } from 'preact';
import './style/tokens.css';
import './style/base.css';
import './style/shell.css';
import './style/parts.css';
import './style/pages.css';
import { App } from './app.jsx';
import { applyTheme } from './settings.js';

applyTheme();
render(<App />, document.getElementById('app'));
